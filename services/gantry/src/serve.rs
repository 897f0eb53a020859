//! The subcommands that run services.

use crate::cli::Global;
use clap::Args;
use service::config::{DATA_DIR, Flags, Reader};

/// Which services this process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything, with a broker of its own unless one is configured.
    Up,
    /// The HTTP interface.
    Api,
    /// The driver of runs.
    Runner,
    /// Model traffic.
    Proxy,
    /// The agent of a GPU host.
    GpuMonitor,
    /// The scheduler of jobs and services.
    Scheduler,
    /// Pushes, webhooks and callbacks.
    Notifier,
}

/// Where a service listens.
#[derive(Clone, Debug, Default, Args)]
pub struct Listen {
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// Port to listen on
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
}

impl Mode {
    /// The settings that say where it listens.
    fn address(self) -> (&'static str, &'static str) {
        match self {
            Self::Proxy => ("GANTRY_PROXY_HOST", "GANTRY_PROXY_PORT"),
            Self::Up | Self::Api | Self::Runner | Self::GpuMonitor | Self::Scheduler | Self::Notifier => {
                ("GANTRY_HOST", "GANTRY_PORT")
            }
        }
    }
}

/// The flags of a command line that starts services.
pub fn service_flags(mode: Mode, global: &Global, listen: &Listen) -> Flags {
    let mut flags = flags(global);
    let (host, port) = mode.address();
    flags.set(host, "--host", listen.host.as_ref());
    flags.set(port, "--port", listen.port);
    flags
}

/// The flags of any command line as settings.
pub fn flags(global: &Global) -> Flags {
    let mut flags = Flags::default();
    flags.set(DATA_DIR, "--data-dir", global.data_dir.as_ref().map(|dir| dir.display()));
    flags.set(service::config::CONFIG_FILE, "--config", global.config.as_ref().map(|file| file.display()));
    flags
}

/// Runs services until they are told to stop.
pub async fn serve(mode: Mode, settings: Reader) -> anyhow::Result<()> {
    crate::process::serve(mode, settings).await
}

//! `gantry bundle`: what is installed, and installing more.

use super::output::{Column, List, text_of};
use super::{Exit, Session, Tone, Trouble, plain, short, when};
use clap::Subcommand;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Commands on bundles.
#[derive(Clone, Debug, Subcommand)]
pub enum BundleCommand {
    /// List the installed bundles
    #[command(visible_alias = "ls")]
    List {
        /// Every version, not only the latest
        #[arg(long)]
        all_versions: bool,
        /// Drafts too
        #[arg(long)]
        drafts: bool,
        /// Deprecated ones too
        #[arg(long)]
        deprecated: bool,
    },
    /// Show a bundle, its flows and what they take
    Show {
        /// Its id, or id@version
        bundle: String,
    },
    /// Install a .flow file
    Upload {
        /// The file
        file: PathBuf,
        /// Replace the same version if it is installed
        #[arg(long)]
        overwrite: bool,
    },
    /// Remove a bundle, or one version of it
    #[command(visible_alias = "rm")]
    Remove {
        /// Its id, or id@version
        bundle: String,
    },
}

/// Carries out a command on bundles.
pub(super) async fn run(command: BundleCommand, session: &mut Session) -> Result<Exit, Trouble> {
    match command {
        BundleCommand::List { all_versions, drafts, deprecated } => {
            let query =
                [("all_versions", all_versions), ("include_drafts", drafts), ("include_deprecated", deprecated)];
            list(&query.map(|(name, on)| (name, on.to_string())), session).await?;
        }
        BundleCommand::Show { bundle } => show(&bundle, session).await?,
        BundleCommand::Upload { file, overwrite } => upload(&file, overwrite, session).await?,
        BundleCommand::Remove { bundle } => {
            let what = format!("cannot remove '{bundle}'");
            let answer = session.client()?.delete(&["bundles", &bundle], &[]).await;
            let answer = answer.map_err(|error| error.trouble(what))?;
            let line = format!("removed {} ({} versions)", plain(&text_of(&answer["bundle_ref"])), answer["removed"]);
            session.one(answer, &bundle, vec![line])?;
        }
    }
    Ok(Exit::Ok)
}

async fn list(query: &[(&str, String)], session: &mut Session) -> Result<(), Trouble> {
    let answer = session.client()?.get(&["bundles"], query).await;
    let mut answer = answer.map_err(|error| error.trouble("cannot list the bundles"))?;
    let items = answer["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let is_empty = items.is_empty();
    let columns = [
        Column::text("BUNDLE", "bundle_id"),
        Column::text("VERSION", "bundle_version"),
        Column::new("FLOWS", |item| flows(item).join(",")),
        Column::new("AGE", |item| when::age(&item["created_at"])),
        Column::wide("DEFAULT", |item| text_of(&item["default_entrypoint"])),
        Column::wide("CHANNEL", |item| text_of(&item["version_channel"])),
    ];
    session.list(&List { items, columns: &columns, name: "bundle_ref" })?;
    if is_empty {
        session.screen.remark("no bundle is installed; install one with `gantry bundle upload FILE.flow`");
    }
    Ok(())
}

fn flows(bundle: &Value) -> Vec<String> {
    let entrypoints = bundle["entrypoints"].as_array().into_iter().flatten();
    entrypoints.map(|entrypoint| text_of(&entrypoint["flow_id"])).collect()
}

async fn show(bundle: &str, session: &mut Session) -> Result<(), Trouble> {
    let answer = session.client()?.get(&["bundles", bundle], &[]).await;
    let answer = answer.map_err(|error| error.trouble(format!("cannot show '{bundle}'")))?;
    let style = session.screen.style;
    let name = plain(&text_of(&answer["bundle_ref"]));
    let mut lines = vec![style.paint(Tone::Strong, &name)];
    for entrypoint in answer["entrypoints"].as_array().into_iter().flatten() {
        let flow = plain(&text_of(&entrypoint["flow_id"]));
        let mark = if answer["default_entrypoint"] == entrypoint["flow_id"] { " (default)" } else { "" };
        let about = short(&text_of(&entrypoint["description"]), 80);
        lines.push(format!("  {}{mark}  {}", style.paint(Tone::Strong, &flow), style.paint(Tone::Faint, &about)));
        if entrypoint["deprecated"] == true {
            let reason = short(&text_of(&entrypoint["deprecated_reason"]), 80);
            lines.push(format!("      {}", style.paint(Tone::Waiting, &format!("deprecated: {reason}"))));
        }
        for input in entrypoint["inputs"].as_array().into_iter().flatten() {
            let default = input.get("default").map(|value| format!(" = {}", short(&value.to_string(), 60)));
            let (id, kind) = (plain(&text_of(&input["id"])), plain(&text_of(&input["type"])));
            lines.push(format!("      -i {id}=…  {kind}{}", default.unwrap_or_default()));
        }
        lines.push(style.paint(Tone::Faint, &format!("      gantry run start {name}:{flow}")));
    }
    session.one(answer, &name, lines)
}

async fn upload(file: &Path, overwrite: bool, session: &mut Session) -> Result<(), Trouble> {
    let what = format!("cannot upload {}", file.display());
    let bytes = std::fs::read(file).map_err(|error| Trouble::usage(&what, error))?;
    let name = file.file_name().map_or("bundle.flow".to_owned(), |name| name.to_string_lossy().into_owned());
    session.screen.remark(&format!("uploading {} ({} kB)", file.display(), bytes.len().div_ceil(1000)));
    let fields = [("overwrite", overwrite.to_string())];
    let answer = session.client()?.upload(&["bundles", "upload"], name, bytes, &fields).await;
    let answer = answer.map_err(|error| {
        let trouble = error.trouble(what);
        let is_there = trouble.why.contains("already installed");
        if is_there { trouble.next("add --overwrite, or give the bundle a new version") } else { trouble }
    })?;
    let name = plain(&text_of(&answer["bundle_ref"]));
    if answer["gateway_reloaded"] == false {
        let why = short(&text_of(&answer["gateway_reload_error"]), 200);
        session.screen.remark(&format!("warning: installed, but the gateway could not load it: {why}"));
    }
    session.screen.remark(&format!("start it with `gantry run start {name}`"));
    session.one(answer, &name.clone(), vec![format!("installed {name}")])
}

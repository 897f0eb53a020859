//! The settings of logs and traces, the same for every service.

use crate::config::{ConfigError, Reader};
use telemetry::{Format, Settings};

/// Reads them. `service` is the name that traces show.
pub fn read(reader: &mut Reader, service: &str) -> Result<Settings, ConfigError> {
    let filter = reader
        .value("GANTRY_LOG")
        .alias("RUST_LOG")
        .alias("ABSTRACTGATEWAY_CONSOLE_LOG_LEVEL")
        .alias("ABSTRACTGATEWAY_LOG_LEVEL")
        .alias("LOG_LEVEL")
        .about("which log lines are written")
        .check("error, warn, info, debug, trace, off, or a list such as info,runner=debug", |text: &String| {
            telemetry::is_filter(text)
        })
        .default("info".to_owned())?;
    let formats = [("auto", Format::Auto), ("pretty", Format::Pretty), ("json", Format::Json)];
    let format = reader
        .choice("GANTRY_LOG_FORMAT", &formats)
        .about("auto is pretty on a terminal and json elsewhere")
        .default(Format::Auto)?;
    let otlp_endpoint = reader
        .value("GANTRY_OTLP_ENDPOINT")
        .alias("OTEL_EXPORTER_OTLP_ENDPOINT")
        .about("where traces are sent over OTLP/HTTP; not set, none are")
        .check("a URL such as http://collector:4318", |url: &String| {
            url.starts_with("http://") || url.starts_with("https://")
        })
        .optional()?;
    Ok(Settings { service: service.to_owned(), filter, format, otlp_endpoint })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, File, Flags};

    fn read_from(pairs: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let environment = Environment::from_pairs(pairs.iter().copied());
        read(&mut Reader::new(Flags::default(), environment, File::default()), "gantry")
    }

    #[test]
    fn the_levels_of_an_existing_deployment_are_taken() {
        assert_eq!(read_from(&[("ABSTRACTGATEWAY_LOG_LEVEL", "ERROR")]).unwrap().filter, "ERROR");
        assert_eq!(read_from(&[("GANTRY_LOG", "debug"), ("LOG_LEVEL", "ERROR")]).unwrap().filter, "debug");
        assert_eq!(read_from(&[]).unwrap().filter, "info");
    }

    #[test]
    fn an_unusable_filter_or_endpoint_is_an_error_that_names_its_variable() {
        let error = read_from(&[("GANTRY_LOG", "runner=loudly")]).unwrap_err();
        assert!(error.to_string().starts_with("GANTRY_LOG (from GANTRY_LOG) is 'runner=loudly'"), "{error}");
        let error = read_from(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")]).unwrap_err();
        assert!(error.to_string().starts_with("GANTRY_OTLP_ENDPOINT (from OTEL_EXPORTER_OTLP_ENDPOINT)"), "{error}");
    }
}

//! The bundle that ships with the product, so that a first run needs nothing else.

use anyhow::Context;
use domain::Time;
use std::io::{Cursor, Write};
use store::bundles::{Bundles, InstallError, Origin};
use zip::write::{SimpleFileOptions, ZipWriter};

const FILES: [(&str, &str); 2] = [
    ("manifest.json", include_str!("../../bundles/hello/manifest.json")),
    ("flows/hello.json", include_str!("../../bundles/hello/flows/hello.json")),
];

/// Packs the bundle; the same bytes each time.
pub fn pack() -> anyhow::Result<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in FILES {
        archive.start_file(name, SimpleFileOptions::default()).context("packing the bundle 'hello'")?;
        archive.write_all(text.as_bytes()).context("packing the bundle 'hello'")?;
    }
    Ok(archive.finish().context("packing the bundle 'hello'")?.into_inner())
}

/// Installs it unless that version is there.
pub(super) async fn install(bundles: &Bundles) -> anyhow::Result<()> {
    bundles.ready().await;
    let now = Time::from(jiff::Timestamp::now());
    match bundles.install(&pack()?, Origin::Builtin, false, now).await {
        Ok(_) | Err(InstallError::Exists(_)) => Ok(()),
        Err(error) => Err(error).context("installing the bundle 'hello'"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_shipped_bundle_can_be_read_and_compiled() {
        let bundle = flow::Bundle::read(&super::pack().unwrap()).unwrap();
        assert_eq!(bundle.reference().to_string(), "hello@1.0.0");
        flow::Library::compile(&bundle).unwrap();
    }
}

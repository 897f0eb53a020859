//! The image of llama.cpp's server with a tiny model: the program that the scripts find, and the libraries that it needs.

use super::{Engine, archive, root, script, tag_of};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use tokio::process::Command;

const MODEL: &str = "tiny-random.gguf";

/// The arguments of a container that serves the model `tiny` on a port of the host's loopback.
pub fn llama_arguments(port: u16) -> Vec<String> {
    let port = port.to_string();
    let words = [
        "-m",
        "/models/tiny.gguf",
        "--alias",
        "tiny",
        "--host",
        "127.0.0.1",
        "--port",
        &port,
        "--parallel",
        "2",
        "--ctx-size",
        "4096",
        "--threads",
        "1",
        "--no-warmup",
        "--context-shift",
    ];
    words.map(str::to_owned).to_vec()
}

pub(super) async fn make(engine: &Engine) -> String {
    let program = PathBuf::from(script("services/proxy/tests/get-llama-server.sh", &[]).await);
    let models = root().join("services/proxy/tests/fixtures");
    let parts = [stamp(&program), stamp(&models.join(MODEL))];
    let name = format!("gantry-test-llama:{}", tag_of((parts, include_str!("llama.rs"))));
    if engine.has(&name).await {
        return name;
    }
    let bundle = program.parent().filter(|dir| dir.join("usr/bin/llama-server").is_file());
    let (mut files, changes) = match bundle {
        Some(dir) => bundled(dir),
        None => installed(&program).await,
    };
    files.extend([format!("--transform=s,^{MODEL}$,models/tiny.gguf,"), "--directory".to_owned()]);
    files.extend([models.display().to_string(), MODEL.to_owned()]);
    engine.import(&name, archive(&files).await, changes).await;
    name
}

/// Size and time of a file, which tell one build of it from another.
fn stamp(file: &Path) -> (u64, u64) {
    let found = std::fs::metadata(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let changed = found.modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
    (found.len(), changed.as_secs())
}

/// The unpacked packages that the script keeps: their program runs with the loader and the libraries beside it, from the
/// folder of its backends, because it looks for those where it stands.
fn bundled(dir: &Path) -> (Vec<String>, Vec<String>) {
    let machine = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let libraries = dir.join(&machine);
    let inside = |folder: &Path, prefix: &str| {
        let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names.into_iter().find(|name| name.starts_with(prefix))
    };
    let loader = inside(&libraries, "ld-linux-").expect("the packages bring a loader");
    let backends = match inside(&libraries.join("ggml"), "backends") {
        Some(name) => format!("/{machine}/ggml/{name}"),
        None => format!("/{machine}"),
    };
    let path = format!("/{machine}:/{machine}/llama:/{machine}/llama.cpp:{backends}");
    let entry = format!(r#"["/{machine}/{loader}","--library-path","{path}","/usr/bin/llama-server"]"#);
    let files = ["--directory", &dir.display().to_string(), "usr/bin/llama-server", &machine];
    (files.map(str::to_owned).to_vec(), vec![format!("ENTRYPOINT {entry}"), format!("WORKDIR {backends}")])
}

/// A program of this machine, with the libraries that it says it needs.
async fn installed(program: &Path) -> (Vec<String>, Vec<String>) {
    let real = std::fs::canonicalize(program).unwrap();
    let asked = Command::new("ldd").arg(&real).output().await.expect("ldd runs");
    let said = String::from_utf8_lossy(&asked.stdout).into_owned();
    let needed = said.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from);
    let mut files = vec!["--dereference".to_owned(), "--directory".to_owned(), "/".to_owned()];
    files
        .extend(needed.chain([real.clone()]).map(|path| path.display().to_string().trim_start_matches('/').to_owned()));
    let folder = real.parent().unwrap_or(Path::new("/"));
    let backends = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let backends =
        backends.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libggml")));
    files.extend(backends.map(|path| path.display().to_string().trim_start_matches('/').to_owned()));
    (files, vec![format!(r#"ENTRYPOINT ["{}"]"#, real.display()), format!("WORKDIR {}", folder.display())])
}

//! What `nvidia-smi` writes, in all the ways in which it was seen to write it, and a program that fails or hangs.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use domain::nodes::{ProcessKind, Reading};
use gpu_monitor::devices::{NvidiaSmi, Source, SourceError, parse_apps, parse_gpus};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

#[test]
fn every_gpu_of_a_host_is_read() {
    let text = "0, GPU-5a0f1c2e-0000-1111-2222-333344445555, NVIDIA GeForce RTX 4090, 24564, 24000, 564, 10, 61, 287.50\n\
                1, GPU-6b0f1c2e-0000-1111-2222-333344445555, NVIDIA GeForce RTX 4090, 24564, 12, 24552, 0, 35, 21.07\n";
    let gpus = parse_gpus(text).unwrap();
    assert_eq!(gpus.len(), 2);
    let free: Vec<Option<&u64>> = gpus.iter().map(|gpu| gpu.free_mb.value()).collect();
    assert_eq!(free, [Some(&564), Some(&24_552)]);
    assert_eq!((gpus[1].index, gpus[1].temperature_c.value()), (1, Some(&35)));
    assert_eq!(gpus[0].power_w, Reading::measured(287.5));
}

#[test]
fn a_missing_figure_is_unavailable_with_the_programs_words_and_never_zero() {
    for word in
        ["[N/A]", "N/A", "[Not Supported]", "Not Supported", "[Unknown Error]", "[Insufficient Permissions]", ""]
    {
        let gpu =
            parse_gpus(&format!("0, GPU-1, NVIDIA GB10, {word}, {word}, {word}, {word}, {word}, {word}")).unwrap();
        let Reading::Unavailable { because } = &gpu[0].total_mb else { panic!("{word}: {gpu:?}") };
        assert!(because.contains(word), "{because}");
        assert_eq!((gpu[0].power_w.value(), gpu[0].utilisation_percent.value()), (None, None));
    }
    let gpu = parse_gpus("0, GPU-1, X, 81559, many, 80535, 0, 40, 70").unwrap();
    assert!(matches!(&gpu[0].used_mb, Reading::Unavailable { because } if because.contains("no number")));
}

#[test]
fn units_and_quotes_are_understood() {
    let gpu =
        parse_gpus("0, GPU-1, \"Quadro, the \"\"big\"\" one\", 24564 MiB, 1 MiB, 24563 MiB, 5 %, 40, 70.10 W").unwrap();
    assert_eq!(gpu[0].name, "Quadro, the \"big\" one");
    assert_eq!((gpu[0].total_mb.value(), gpu[0].power_w.value()), (Some(&24_564), Some(&70.1)));
}

#[test]
fn processes_are_told_apart_by_gpu_and_their_names_may_hold_commas() {
    let text = "GPU-1, 1234, /usr/bin/python3, 6000\n\
                GPU-2, 1235, /opt/a, b/server, [N/A]\n\
                GPU-1, 1236, [Not Found], 10\n";
    let apps = parse_apps(text).unwrap();
    assert_eq!(apps[0].0, "GPU-1");
    assert_eq!((apps[0].1.pid, apps[0].1.memory_mb.value()), (1_234, Some(&6_000)));
    assert_eq!(apps[1].1.name.as_deref(), Some("/opt/a,b/server"));
    assert_eq!((apps[1].1.memory_mb.value(), apps[1].1.kind), (None, ProcessKind::Compute));
    assert_eq!(apps[2].1.name, None);
    assert_eq!(parse_apps("\n").unwrap(), []);
}

#[test]
fn a_line_that_is_not_understood_is_an_error_that_shows_it() {
    for line in ["0, GPU-1, X", "x, GPU-1, X, 1, 1, 1, 1, 1, 1", "0, 17, X, 1, 1, 1, 1, 1, 1"] {
        let error = parse_gpus(line).unwrap_err().to_string();
        assert!(error.contains(line), "{error}");
    }
    assert!(parse_apps("GPU-1, 12").is_err());
    assert!(parse_apps("GPU-1, twelve, x, 1").is_err());
}

/// A program that plays `nvidia-smi`. The real one needs a GPU and cannot be told to fail.
fn program(dir: &tempfile::TempDir, script: &str) -> PathBuf {
    let path = dir.path().join("nvidia-smi");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test]
async fn gpus_and_their_processes_are_put_together() {
    let dir = tempfile::tempdir().unwrap();
    let script = "case $1 in --query-gpu=*) echo '0, GPU-1, X, 100, 60, 40, 5, 40, 70'; echo '1, GPU-2, X, 100, 0, 100, 0, 40, 70';; \
                  *) echo 'GPU-1, 77, server, 60';; esac";
    let sample = NvidiaSmi::new(program(&dir, script)).read().await.unwrap();
    let pids = |index: usize| {
        let processes = sample.devices[index].processes.value().unwrap();
        processes.iter().map(|process: &gpu_monitor::devices::RawProcess| process.pid).collect::<Vec<_>>()
    };
    assert_eq!((pids(0), pids(1)), (vec![77], vec![]));
}

#[tokio::test]
async fn a_driver_that_fails_is_told_in_its_own_words() {
    let dir = tempfile::tempdir().unwrap();
    let words = "NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.";
    let error = NvidiaSmi::new(program(&dir, &format!("echo '{words}'; exit 9"))).read().await.unwrap_err();
    assert!(matches!(&error, SourceError::Failed { cause, .. } if cause.contains(words)), "{error}");
}

#[tokio::test]
async fn a_program_that_hangs_is_given_up_and_ended() {
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("pid");
    let script = format!("echo $$ > {}; exec sleep 600", pid_file.display());
    let error = NvidiaSmi::new(program(&dir, &script)).read().await.unwrap_err();
    assert!(matches!(error, SourceError::Hung { .. }), "{error}");
    let pid = std::fs::read_to_string(pid_file).unwrap();
    let stat = PathBuf::from("/proc").join(pid.trim()).join("stat");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while std::fs::read_to_string(&stat).is_ok_and(|text| !text.contains(") Z")) {
        assert!(std::time::Instant::now() < deadline, "the program still runs");
        tokio::task::yield_now().await;
    }
}

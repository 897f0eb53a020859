//! From a process id of the host to the container that it runs in.

use domain::nodes::{Owner, Reading};
use std::io::ErrorKind;
use std::path::Path;

/// To whom a process belongs, as its control group says. `proc` is where the host's `/proc` is.
pub(super) fn owner(proc: &Path, pid: u32) -> Reading<Owner> {
    match std::fs::read_to_string(proc.join(pid.to_string()).join("cgroup")) {
        Ok(text) => Reading::derived(
            container_id(&text).map_or(Owner::Host, |id| Owner::Container { id: id.to_owned(), name: None }),
            "the process's control group",
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => Reading::unavailable(
            "the process is not visible here: run the agent in the host's process namespace (`pid: host`)",
        ),
        Err(error) => Reading::unavailable(format!("its control group cannot be read: {error}")),
    }
}

/// A process's program, as the kernel shortens it.
pub(super) fn program(proc: &Path, pid: u32) -> Reading<String> {
    match std::fs::read_to_string(proc.join(pid.to_string()).join("comm")) {
        Ok(name) => Reading::measured(name.trim().to_owned()),
        Err(error) => Reading::unavailable(format!("its name cannot be read: {error}")),
    }
}

/// The container's id in the text of `/proc/<pid>/cgroup`: the innermost 64 hexadecimal digits that are a part of a path,
/// as in `/docker/<id>`, `/system.slice/docker-<id>.scope`, `libpod-<id>.scope` or `cri-containerd-<id>.scope`.
pub fn container_id(cgroup: &str) -> Option<&str> {
    cgroup.lines().find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        path.rsplit('/').find_map(id_in)
    })
}

fn id_in(part: &str) -> Option<&str> {
    let part = part.strip_suffix(".scope").unwrap_or(part);
    let id = part.rsplit(['-', ':']).next()?;
    (id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "48bdbb5db725f2e68130ebb413085bb8ba38d9c9a80b67f1badafb0d97d2468e";

    #[test]
    fn the_container_is_found_under_every_engine_and_both_kinds_of_control_groups() {
        for text in [
            format!("12:memory:/docker/{ID}\n0::/docker/{ID}\n"),
            format!("0::/system.slice/docker-{ID}.scope\n"),
            format!("0::/machine.slice/libpod-{ID}.scope/container\n"),
            format!("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope\n"),
            format!("0::/../../docker-{ID}.scope/init\n"),
            format!("1:name=systemd:/a:b/cri-containerd:{ID}\n"),
        ] {
            assert_eq!(container_id(&text), Some(ID), "{text}");
        }
        for text in ["0::/user.slice/user-1000.slice/session-2.scope\n", "0::/\n", "", "garbage", "0::/docker/48bd\n"] {
            assert_eq!(container_id(text), None, "{text}");
        }
    }

    #[test]
    fn a_process_is_a_containers_or_the_hosts_or_says_why_not() {
        let proc = tempfile::tempdir().unwrap();
        for (pid, text) in [("10", format!("0::/docker/{ID}\n")), ("11", "0::/init.scope\n".to_owned())] {
            std::fs::create_dir(proc.path().join(pid)).unwrap();
            std::fs::write(proc.path().join(pid).join("cgroup"), text).unwrap();
            std::fs::write(proc.path().join(pid).join("comm"), "llama-server\n").unwrap();
        }
        let container = Owner::Container { id: ID.to_owned(), name: None };
        assert_eq!(owner(proc.path(), 10).value(), Some(&container));
        assert_eq!(owner(proc.path(), 11).value(), Some(&Owner::Host));
        let Reading::Unavailable { because } = owner(proc.path(), 12) else { panic!("a process that is not there") };
        assert!(because.contains("pid: host"), "{because}");
        assert_eq!(program(proc.path(), 10), Reading::measured("llama-server".to_owned()));
    }
}

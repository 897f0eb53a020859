//! What a proxy is called among others on the same broker.

/// A name that no other proxy has, and that tells its host.
pub(super) fn own() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.trim().chars().take(48).map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let host = if host.is_empty() { "proxy" } else { &host };
    let number = uuid::Uuid::new_v4().simple().to_string();
    format!("{host}-{}-{}", std::process::id(), &number[..8])
}

//! `gantry gpu` and `gantry vram`.

use super::super::output::{Column, List, text_of};
use super::super::{Exit, Format, Session, Trouble};
use super::{client, text, trouble};
use serde_json::Value;

/// Shows each GPU, and says why a value is not known.
pub(super) async fn gpu(session: &mut Session) -> Result<Exit, Trouble> {
    let answer = client(session)?.get(&["gpu"], &[]).await;
    let mut answer = answer.map_err(|error| trouble(&error, "cannot read the GPUs"))?;
    if answer["available"] != true {
        let why = text(&answer, "error");
        session.one(answer, "", Vec::new())?;
        session.screen.remark(&format!("no GPU: {why}"));
        return Ok(Exit::Ok);
    }
    if !is_table(session) {
        session.one(answer, "", Vec::new())?;
        return Ok(Exit::Ok);
    }
    let items = answer["gpus"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let columns = [
        Column::text("NODE", "node"),
        Column::text("GPU", "index"),
        Column::text("NAME", "name"),
        Column::new("USED", |gpu| of(&gpu["memory"]["used_mb"], " MB")),
        Column::new("TOTAL", |gpu| of(&gpu["memory"]["total_mb"], " MB")),
        Column::new("BUSY", |gpu| of(&gpu["utilisation_percent"], "%")),
        Column::new("TEMPERATURE", |gpu| of(&gpu["temperature_c"], " C")),
        Column::new("POWER", |gpu| of(&gpu["power_w"], " W")),
        Column::wide("ID", |gpu| text_of(&gpu["id"])),
        Column::wide("PROCESSES", |gpu| {
            gpu["processes"]["value"].as_array().map_or(String::new(), |all| all.len().to_string())
        }),
    ];
    session.list(&List { items, columns: &columns, name: "id" })?;
    Ok(Exit::Ok)
}

/// Shows what is used and free, and which services hold what.
pub(super) async fn vram(session: &mut Session) -> Result<Exit, Trouble> {
    let answer = client(session)?.get(&["vram"], &[]).await;
    let mut answer = answer.map_err(|error| trouble(&error, "cannot read the GPU memory"))?;
    if !is_table(session) {
        session.one(answer, "", Vec::new())?;
        return Ok(Exit::Ok);
    }
    session.screen.remark(&format!(
        "{} of {} MB used, {} MB free, {} MB for one more service",
        text(&answer, "used_mb"),
        text(&answer, "total_mb"),
        text(&answer, "free_mb"),
        text(&answer, "available_for_new_mb")
    ));
    let items = answer["allocated_services"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let columns = [
        Column::text("SERVICE", "service"),
        Column::new("DECLARED", |item| format!("{} MB", text_of(&item["vram_mb"]))),
        Column::new("RESERVED", |item| format!("{} MB", text_of(&item["reserved_mb"]))),
        Column::new("PEAK", |item| format!("{} MB", text_of(&item["learned_peak_mb"]))),
        Column::text("RUNNING", "container_running"),
    ];
    session.list(&List { items, columns: &columns, name: "service" })?;
    Ok(Exit::Ok)
}

/// Whether a person reads the answer as a table.
pub(super) fn is_table(session: &Session) -> bool {
    matches!(session.global.output, Format::Table | Format::Wide)
}

/// A reading with its unit, or why there is none.
fn of(reading: &Value, unit: &str) -> String {
    match reading["is"].as_str() {
        Some("unavailable") => format!("({})", text_of(&reading["because"])),
        Some("derived") => format!("~{}{unit}", text_of(&reading["value"])),
        Some(_) | None => format!("{}{unit}", text_of(&reading["value"])),
    }
}

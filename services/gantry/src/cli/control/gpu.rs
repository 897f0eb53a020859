//! `gantry gpu` and `gantry vram`.

use super::super::output::{Column, text_of};
use super::super::{Exit, Format, Session, Trouble};
use super::listing::{Listing, Watching};
use super::{client, text};
use serde_json::Value;

/// Shows each GPU, and says why a value is not known.
pub(super) async fn gpu(watching: Watching, session: &mut Session) -> Result<Exit, Trouble> {
    let client = client(session)?;
    let listing = Listing {
        path: &["gpu"],
        query: Vec::new(),
        what: "cannot read the GPUs",
        items: |answer| answer["gpus"].as_array_mut().map(std::mem::take).unwrap_or_default(),
        columns: |_| gpu_columns(),
        name: "id",
        none: "",
    };
    if !is_table(session) && !watching.watch {
        let answer = listing.read(&client).await?;
        session.one(answer, "", Vec::new())?;
        return Ok(Exit::Ok);
    }
    let why = |answer: &Value, session: &mut Session| {
        if answer["available"] != true {
            session.screen.remark(&format!("no GPU: {}", text(answer, "error")));
        }
    };
    listing.run(&client, watching, why, session).await
}

fn gpu_columns() -> Vec<Column> {
    vec![
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
    ]
}

/// Shows what is used and free, and which services hold what.
pub(super) async fn vram(watching: Watching, session: &mut Session) -> Result<Exit, Trouble> {
    let client = client(session)?;
    let listing = Listing {
        path: &["vram"],
        query: Vec::new(),
        what: "cannot read the GPU memory",
        items: |answer| answer["allocated_services"].as_array_mut().map(std::mem::take).unwrap_or_default(),
        columns: |_| vram_columns(),
        name: "service",
        none: "",
    };
    if !is_table(session) && !watching.watch {
        let answer = listing.read(&client).await?;
        session.one(answer, "", Vec::new())?;
        return Ok(Exit::Ok);
    }
    let sums = |answer: &Value, session: &mut Session| {
        session.screen.remark(&format!(
            "{} of {} MB used, {} MB free, {} MB for one more service",
            text(answer, "used_mb"),
            text(answer, "total_mb"),
            text(answer, "free_mb"),
            text(answer, "available_for_new_mb")
        ));
    };
    listing.run(&client, watching, sums, session).await
}

fn vram_columns() -> Vec<Column> {
    vec![
        Column::text("SERVICE", "service"),
        Column::new("DECLARED", |item| format!("{} MB", text_of(&item["vram_mb"]))),
        Column::new("RESERVED", |item| format!("{} MB", text_of(&item["reserved_mb"]))),
        Column::new("PEAK", |item| format!("{} MB", text_of(&item["learned_peak_mb"]))),
        Column::text("RUNNING", "container_running"),
        Column::wide("GPUS", |item| text_of(&item["gpus"])),
    ]
}

/// Whether a person reads the answer as a table.
pub(super) fn is_table(session: &Session) -> bool {
    matches!(session.global.output, Format::Table | Format::Wide)
}

/// A reading with its unit, or why there is none.
pub(super) fn of(reading: &Value, unit: &str) -> String {
    match reading["is"].as_str() {
        Some("unavailable") => format!("({})", text_of(&reading["because"])),
        Some("derived") => format!("~{}{unit}", text_of(&reading["value"])),
        Some(_) | None => format!("{}{unit}", text_of(&reading["value"])),
    }
}

//! The picture of `gantry top`: GPUs above, services and jobs below, into any buffer from 40 columns and 10 lines up.

use super::super::super::{plain, when};
use super::super::text;
use super::board::{Board, remark};
use super::memory::Memory;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table, Widget};
use serde_json::Value;

/// The signs of the bar's parts; they differ without colours too.
const SIGNS: [(&str, Color); 4] =
    [("█", Color::Green), ("▓", Color::Magenta), ("▒", Color::Yellow), ("·", Color::DarkGray)];
/// Parts of the bar by name, in the order of the signs.
const PARTS: [&str; 4] = ["ours", "foreign", "reserved", "free"];

/// A board that is drawn.
pub(super) struct View<'a> {
    /// What is shown.
    pub board: &'a Board,
    /// Whether colours are used.
    pub colours: bool,
    /// Whether keys do something.
    pub live: bool,
}

impl Widget for &View<'_> {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let (gpus, services) = self.heights(area.height);
        let rows = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(gpus),
            Constraint::Length(services),
            Constraint::Min(0),
            Constraint::Length(1),
        ]);
        let [head, gpu_area, service_area, job_area, foot] = rows.areas(area);
        self.head(head, buffer);
        self.gpus(gpu_area, buffer);
        self.services(service_area, buffer);
        self.jobs(job_area, buffer);
        self.foot(foot, buffer);
    }
}

impl View<'_> {
    /// Lines that everything needs, for a picture that is not cut.
    pub(super) fn wanted(&self) -> u16 {
        let board = self.board;
        let lines = 2 + self.gpu_lines() + board.services.len().max(1) + board.jobs.len().max(1) + 5;
        u16::try_from(lines).unwrap_or(u16::MAX)
    }

    fn gpu_lines(&self) -> usize {
        (self.board.devices.len() * 2).max(1) + 1
    }

    /// Of the lines between head and foot, GPUs get at most two fifths and services a quarter; jobs what is left.
    fn heights(&self, all: u16) -> (u16, u16) {
        let between = all.saturating_sub(2);
        let gpus = u16::try_from(self.gpu_lines()).unwrap_or(u16::MAX);
        let services = u16::try_from(self.board.services.len().max(1) + 2).unwrap_or(u16::MAX);
        if gpus.saturating_add(services).saturating_add(3) <= between && !self.live {
            return (gpus, services);
        }
        (gpus.min((between * 2 / 5).max(3)), services.min((between / 3).max(3)))
    }

    fn style(&self, colour: Color) -> Style {
        if self.colours { Style::new().fg(colour) } else { Style::new() }
    }

    fn head(&self, area: Rect, buffer: &mut Buffer) {
        let board = self.board;
        let counts = format!(
            "  {} running  {} queued  {} paused",
            board.count("running"),
            board.count("queued"),
            board.count("paused")
        );
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let mut line = vec![Span::styled("gantry top", bold), Span::raw(counts)];
        if text(&board.stats, "leader").is_empty() {
            line.push(Span::raw("  no scheduler"));
        }
        line.push(Span::raw(format!("  {}", plain(&board.url))));
        Line::from(line).render(area, buffer);
    }

    fn gpus(&self, area: Rect, buffer: &mut Buffer) {
        let mut title = vec![Span::raw(" GPUs ")];
        for ((sign, colour), part) in SIGNS.into_iter().zip(PARTS) {
            title.push(Span::styled(sign, self.style(colour)));
            title.push(Span::raw(format!(" {part}  ")));
        }
        let block = Block::new().borders(Borders::TOP).title(Line::from(title));
        let inner = block.inner(area);
        block.render(area, buffer);
        if self.board.devices.is_empty() {
            let why =
                if self.board.no_gpu.is_empty() { "no GPU is known to the scheduler" } else { &self.board.no_gpu };
            Paragraph::new(plain(why)).render(inner, buffer);
            return;
        }
        // Where two lines a GPU do not fit, the second ones go.
        let full = usize::from(inner.height) >= self.board.devices.len() * 2;
        let lines = self.board.devices.iter().flat_map(|device| {
            let second = full.then(|| Line::styled(self.holders(device), self.style(Color::DarkGray)));
            std::iter::once(self.gpu(device, inner.width)).chain(second)
        });
        Paragraph::new(lines.collect::<Vec<_>>()).render(inner, buffer);
    }

    fn gpu(&self, device: &Value, width: u16) -> Line<'static> {
        let memory = Memory::of(device);
        let gpu = self.board.gpu(device);
        let index = gpu.map_or_else(|| "?".to_owned(), |gpu| text(gpu, "index"));
        let name = gpu.map_or_else(|| text(device, "id"), |gpu| text(gpu, "name"));
        let name = fit(&format!("{}/{index} {name}", text(device, "node")), usize::from(width) / 3);
        let used = memory.ours + memory.foreign;
        let lost = if device["node_alive"] == false { "  node is silent" } else { "" };
        let figures = format!(
            " {:>5}/{} GB {}{lost}",
            gigabytes(used),
            gigabytes(memory.total()),
            [("utilisation_percent", "%", 4), ("temperature_c", "C", 4), ("power_w", "W", 5)]
                .map(|(key, unit, width)| {
                    let shown = gpu.map_or("?".to_owned(), |gpu| short_reading(&gpu[key], unit));
                    format!("{shown:>width$}")
                })
                .concat()
        );
        let taken = name.chars().count() + figures.chars().count() + 1;
        let bar = u16::try_from(usize::from(width).saturating_sub(taken)).unwrap_or(4).max(4);
        let mut line = vec![Span::raw(format!("{name} "))];
        for ((sign, colour), cells) in SIGNS.into_iter().zip(memory.cells(bar)) {
            line.push(Span::styled(sign.repeat(usize::from(cells)), self.style(colour)));
        }
        line.push(Span::raw(figures));
        Line::from(line)
    }

    /// Who holds what of a GPU, and why a figure is missing.
    fn holders(&self, device: &Value) -> String {
        let holders = device["holders"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut parts: Vec<String> = holders
            .iter()
            .map(|holder| {
                let reserved = gigabytes(holder["reserved_mb"].as_u64().unwrap_or(0));
                match holder["measured_mb"].as_u64() {
                    Some(measured) => {
                        format!("{} uses {} of {reserved} GB", text(holder, "service"), gigabytes(measured))
                    }
                    None => format!("{} has {reserved} GB set aside", text(holder, "service")),
                }
            })
            .collect();
        let foreign = device["foreign_mb"].as_u64().unwrap_or(0);
        if foreign > 0 {
            parts.push(format!("{} GB by others", gigabytes(foreign)));
        }
        parts.push(format!("room for {} GB", gigabytes(device["free_mb"].as_u64().unwrap_or(0))));
        let gpu = self.board.gpu(device);
        let missing = gpu.and_then(|gpu| {
            let key = ["utilisation_percent", "temperature_c", "power_w"]
                .into_iter()
                .find(|key| gpu[*key]["is"] == "unavailable")?;
            Some(format!("{} unknown: {}", key.replace('_', " "), text(&gpu[key], "because")))
        });
        parts.extend(missing);
        format!("  {}", parts.join(", "))
    }

    fn services(&self, area: Rect, buffer: &mut Buffer) {
        let rows = self.board.services.iter().map(|service| {
            let state = text(service, "state");
            let colour = match state.as_str() {
                "idle" => Color::Green,
                "busy" => Color::Cyan,
                "unhealthy" | "lost" => Color::Red,
                "starting" | "draining" | "stopping" => Color::Yellow,
                _ => Color::DarkGray,
            };
            let state = if service["enabled"] == false { format!("{state} (off)") } else { state };
            let jobs = service["active_jobs"].as_array().map_or(0, Vec::len);
            Row::new([
                Cell::new(text(service, "name")),
                Cell::new(text(service, "type")),
                Cell::new(state).style(self.style(colour)),
                Cell::new(format!("{}/{}", jobs, text(service, "max_concurrency"))),
                Cell::new(gigabytes(service["reserved_mb"].as_u64().unwrap_or(0))),
                Cell::new(text(service, "node")),
                Cell::new(text(service, "last_error")),
            ])
        });
        let widths = [
            Constraint::Length(18),
            Constraint::Length(14),
            Constraint::Length(10),
            Constraint::Length(6),
            Constraint::Length(6),
            Constraint::Length(10),
            Constraint::Min(0),
        ];
        let heads = ["SERVICE", "TYPE", "STATE", "JOBS", "GB", "NODE", "LAST ERROR"];
        self.table(area, buffer, rows.collect(), &widths, heads.to_vec(), "no service is registered");
    }

    fn jobs(&self, area: Rect, buffer: &mut Buffer) {
        let rows = self.board.jobs.iter().skip(self.board.scroll).map(|job| {
            let status = text(job, "status");
            let colour = match status.as_str() {
                "running" => Color::Cyan,
                "paused" => Color::Magenta,
                _ => Color::Yellow,
            };
            Row::new([
                Cell::new(text(job, "id").chars().take(8).collect::<String>()),
                Cell::new(status).style(self.style(colour)),
                Cell::new(text(job, "service_type")),
                Cell::new(text(job, "service_name")),
                Cell::new(text(job, "priority")),
                Cell::new(when::age(&job["created_at"])),
                Cell::new(remark(job)),
            ])
        });
        let widths = [
            Constraint::Length(8),
            Constraint::Length(8),
            Constraint::Length(12),
            Constraint::Length(12),
            Constraint::Length(4),
            Constraint::Length(4),
            Constraint::Min(10),
        ];
        let heads = ["JOB", "STATUS", "TYPE", "SERVICE", "PRIO", "AGE", "WHY"];
        self.table(area, buffer, rows.collect(), &widths, heads.to_vec(), "nothing runs and nothing waits");
    }

    fn table(
        &self,
        area: Rect,
        buffer: &mut Buffer,
        rows: Vec<Row<'_>>,
        widths: &[Constraint],
        heads: Vec<&'static str>,
        none: &'static str,
    ) {
        let block = Block::new().borders(Borders::TOP);
        if rows.is_empty() {
            return Paragraph::new(none).block(block).render(area, buffer);
        }
        let header = Row::new(heads).style(Style::new().add_modifier(Modifier::BOLD));
        let table = Table::new(rows, widths.iter().copied()).header(header).column_spacing(1).block(block);
        Widget::render(table, area, buffer);
    }

    fn foot(&self, area: Rect, buffer: &mut Buffer) {
        let keys = if self.live { "q quit   j k scroll jobs" } else { "" };
        let line = match &self.board.problem {
            Some(problem) => Line::styled(format!("{keys}   {}", plain(problem)), self.style(Color::Red)),
            None => Line::raw(keys),
        };
        line.render(area, buffer);
    }
}

/// A reading in a few characters; a question mark where there is none, which is explained elsewhere.
fn short_reading(reading: &Value, unit: &str) -> String {
    reading["value"].as_f64().map_or_else(|| "?".to_owned(), |value| format!("{value:.0}{unit}"))
}

/// MiB as GiB with a digit behind the point.
fn gigabytes(mb: u64) -> String {
    format!("{}.{}", mb / 1_024, mb % 1_024 * 10 / 1_024)
}

/// Exactly so many characters.
fn fit(text: &str, width: usize) -> String {
    let kept: String = plain(text).chars().take(width).collect();
    format!("{kept:<width$}")
}

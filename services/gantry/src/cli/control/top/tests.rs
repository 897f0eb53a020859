//! What the picture shows, in a terminal of the smallest size that everybody has.

use super::*;
use crate::cli::sse::Event as Told;
use ratatui::backend::TestBackend;
use serde_json::{Value, json};

fn measured(value: Value) -> Value {
    json!({"is": "measured", "value": value})
}

fn gpu(node: &str, index: u32, used_mb: u64) -> Value {
    json!({"node": node, "id": format!("GPU-{node}-{index}"), "index": index, "name": "RTX 4090",
        "memory": {"used_mb": measured(json!(used_mb))},
        "utilisation_percent": measured(json!(88)), "temperature_c": measured(json!(67)),
        "power_w": {"is": "unavailable", "because": "the board has no sensor"}})
}

fn device(node: &str, index: u32) -> Value {
    json!({"node": node, "id": format!("GPU-{node}-{index}"), "node_alive": true, "total_mb": 24_576,
        "reserved_mb": 12_288, "used_mb": 11_264, "foreign_mb": 3_072, "free_mb": 8_192,
        "holders": [{"service": "comfy", "reserved_mb": 12_288, "measured_mb": 8_192}]})
}

fn service(name: &str, state: &str, jobs: usize) -> Value {
    json!({"name": name, "type": "image", "state": state, "enabled": true, "max_concurrency": 2,
        "active_jobs": vec!["j"; jobs], "reserved_mb": 12_288, "node": "gpu-1", "last_error": null})
}

fn job(id: &str, status: &str, why: &str) -> Value {
    json!({"id": id, "status": status, "service_type": "image", "service_name": "comfy", "priority": 3,
        "created_at": "2026-11-20T23:26:44Z", "progress": {"pct": 40, "updated_at": "x"}, "error": null,
        "waiting": if why.is_empty() { Value::Null } else { json!({"text": why}) }})
}

fn board(gpus: u32, jobs: usize) -> Board {
    let queued = (1..jobs).map(|n| job(&format!("0000{n:04}-rest"), "queued", "'comfy' is busy with 2 jobs"));
    let mut board = Board { url: "http://127.0.0.1:8080/".to_owned(), ..Board::default() };
    board.take(Answers {
        gpu: json!({"gpus": (0..gpus).map(|n| gpu("gpu-1", n, 11_264)).collect::<Vec<_>>(), "error": null}),
        vram: json!({"gpus": (0..gpus).map(|n| device("gpu-1", n)).collect::<Vec<_>>()}),
        services: json!({"services": {"comfy": service("comfy", "busy", 1), "sd": service("sd", "stopped", 0)}}),
        queue: json!({"jobs": std::iter::once(job("11111111-rest", "running", "")).chain(queued).collect::<Vec<_>>()}),
        stats: json!({"leader": "host-1", "by_status": {"queued": jobs - 1, "running": 1}}),
    });
    board
}

/// What somebody sees in a terminal of that size.
fn seen(board: &Board, width: u16, height: u16) -> Vec<String> {
    let mut terminal = ratatui::Terminal::new(TestBackend::new(width, height)).unwrap();
    let view = View { board, colours: true, live: true };
    terminal.draw(|frame| frame.render_widget(&view, frame.area())).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(line).collect()
}

#[test]
fn eighty_by_twenty_four_shows_gpus_services_and_jobs_with_their_reasons() {
    let lines = seen(&board(2, 40), 80, 24);
    let whole = lines.join("\n");
    assert!(lines[0].starts_with("gantry top  1 running  39 queued"), "{whole}");
    assert!(lines[1].contains("█ ours  ▓ foreign  ▒ reserved  · free"), "{whole}");
    // 8 of 24 GB are ours, 3 foreign, 4 set aside and not used yet, 9 free.
    let bar = |sign: char| lines[2].chars().filter(|c| *c == sign).count();
    assert!(bar('█') > bar('▒') && bar('▒') >= bar('▓') && bar('·') >= bar('█'), "{whole}");
    assert!(lines[2].contains("gpu-1/0 RTX 4090") && lines[2].contains("11.0/24.0 GB"), "{whole}");
    assert!(lines[2].contains("88%") && lines[2].contains("67C"), "{whole}");
    assert!(lines[3].contains("comfy uses 8.0 of 12.0 GB, 3.0 GB by others"), "{whole}");
    assert!(whole.contains("comfy") && whole.contains("busy") && whole.contains("1/2"), "{whole}");
    assert!(lines.iter().any(|line| line.starts_with("11111111 running") && line.contains("pct 40")), "{whole}");
    let waiting = lines.iter().find(|line| line.starts_with("00000001 queued"));
    assert!(waiting.is_some_and(|line| line.contains("'comfy' is busy with")), "{whole}");
    assert!(lines[23].starts_with("q quit"), "{whole}");
    assert!(lines.iter().filter(|line| line.contains("queued")).count() >= 5, "jobs have room: {whole}");
}

#[test]
fn many_gpus_leave_room_for_jobs_and_a_small_window_breaks_nothing() {
    let many = board(16, 10);
    let whole = seen(&many, 80, 24).join("\n");
    assert!(whole.contains("11111111 running"), "{whole}");
    for (width, height) in [(40, 10), (20, 5), (1, 1), (200, 60)] {
        seen(&many, width, height);
    }
}

#[test]
fn a_picture_that_nobody_watches_is_whole() {
    let lines = lines(&board(16, 30), WIDTH);
    let whole = lines.join("\n");
    assert!(whole.contains("gpu-1/15 RTX 4090") && whole.contains("00000029 queued"), "{whole}");
    assert!(whole.contains("power w unknown: the board has no sensor"), "{whole}");
    assert!(!whole.contains("q quit") && !whole.contains('\u{1b}'), "{whole}");
}

#[test]
fn nothing_is_said_in_words() {
    let mut board = Board::default();
    board.take(Answers { gpu: json!({"error": "n1: no NVIDIA driver"}), ..Answers::default() });
    let whole = seen(&board, 80, 24).join("\n");
    for words in ["n1: no NVIDIA driver", "no service is registered", "nothing runs and nothing waits", "no scheduler"]
    {
        assert!(whole.contains(words), "{words}: {whole}");
    }
}

#[test]
fn a_report_moves_the_bar_and_asks_again_only_when_memory_moved() {
    let mut board = board(1, 1);
    let report = |used_mb: u64| Told {
        kind: "report".to_owned(),
        data: json!({"node": "gpu-1", "gpus": [gpu("gpu-1", 0, used_mb)]}).to_string(),
        id: None,
    };
    assert!(!board.hear(&report(11_264)), "nothing moved");
    assert!(board.hear(&report(20_000)));
    let job = Told { kind: "job_started".to_owned(), data: "{}".to_owned(), id: None };
    assert!(board.hear(&job));
}

#[test]
fn keys_quit_and_scroll_within_the_list() {
    let press = |code: KeyCode| Event::Key(code.into());
    assert!(quits(&press(KeyCode::Char('q'))) && quits(&press(KeyCode::Esc)) && !quits(&press(KeyCode::Char('x'))));
    let mut board = board(1, 3);
    for _ in 0..9 {
        scroll(&press(KeyCode::Down), &mut board);
    }
    assert_eq!(board.scroll, 2);
    scroll(&press(KeyCode::PageUp), &mut board);
    assert_eq!(board.scroll, 0);
}

//! `gantry top`: GPUs, services and jobs on one screen, drawn anew when the gateway tells of something.

mod board;
mod draw;
mod memory;
#[cfg(test)]
mod tests;

use super::super::{Client, Exit, RequestError, Session, Trouble};
use super::gpu::is_table;
use super::live::{Heard, STREAMS, listen};
use super::{client, trouble};
use board::{Answers, Board, read};
use crossterm::event::{Event, EventStream, KeyCode, KeyEventKind, KeyModifiers};
use draw::View;
use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt, pending};
use ratatui::DefaultTerminal;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::Widget;
use std::io::IsTerminal;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// The gateway is asked again no sooner than this after the last time.
const BETWEEN: Duration = Duration::from_millis(300);
/// And after this when it did not answer.
const RETRY: Duration = Duration::from_secs(2);
/// Ages are drawn anew this often.
const TICK: Duration = Duration::from_secs(1);
/// Columns of a picture that nobody watches.
const WIDTH: u16 = 120;

/// Shows the picture until somebody quits; without a terminal, prints it once.
pub(super) async fn run(session: &mut Session) -> Result<Exit, Trouble> {
    let client = client(session)?;
    let first = read(client.clone()).await.map_err(|error| trouble(&error, "cannot show the control plane"))?;
    let mut board = Board { url: client.address(), ..Board::default() };
    board.take(first);
    if !session.screen.is_terminal || !std::io::stdin().is_terminal() || !is_table(session) {
        return once(&board, session);
    }
    let colours = session.screen.style.colours;
    let terminal = Terminal::take().map_err(|error| Trouble::new("cannot take the terminal", error))?;
    watch(client, board, colours, terminal).await
}

/// The picture as text, or as JSON.
fn once(board: &Board, session: &mut Session) -> Result<Exit, Trouble> {
    if !is_table(session) {
        session.one(board.value(), "", Vec::new())?;
        return Ok(Exit::Ok);
    }
    for line in lines(board, WIDTH) {
        session.screen.data(&line)?;
    }
    Ok(Exit::Ok)
}

/// The whole picture, line by line, without what is blank at their ends.
fn lines(board: &Board, width: u16) -> Vec<String> {
    let view = View { board, colours: false, live: false };
    let area = Rect::new(0, 0, width, view.wanted());
    let mut buffer = Buffer::empty(area);
    view.render(area, &mut buffer);
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    let mut lines: Vec<String> = (0..area.height).map(line).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// The terminal, given back whatever happens.
struct Terminal(DefaultTerminal);

impl Terminal {
    fn take() -> std::io::Result<Self> {
        ratatui::try_init().map(Self)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

type Reading = BoxFuture<'static, Result<Answers, RequestError>>;

async fn watch(client: Client, mut board: Board, colours: bool, mut terminal: Terminal) -> Result<Exit, Trouble> {
    let failed = |error: std::io::Error| Trouble::new("cannot draw", error);
    let (mut keys, mut told) = (EventStream::new(), listen(&client, &STREAMS));
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut due, mut reading, mut last): (Option<Instant>, Option<Reading>, Instant) = (None, None, Instant::now());
    loop {
        let view = View { board: &board, colours, live: true };
        terminal.0.draw(|frame| frame.render_widget(&view, frame.area())).map_err(failed)?;
        let wake = due.filter(|_| reading.is_none());
        let mut ask = false;
        tokio::select! {
            _ = tick.tick() => {}
            key = keys.next() => match key {
                Some(Ok(event)) if quits(&event) => return Ok(Exit::Ok),
                Some(Ok(event)) => scroll(&event, &mut board),
                // Without keys nobody could quit.
                Some(Err(error)) => return Err(failed(error)),
                None => return Ok(Exit::Ok),
            },
            Some(heard) = told.next() => match heard {
                Heard::Opened => ask = true,
                Heard::Told(event) => ask = board.hear(&event),
                Heard::Lost { why } => board.problem = Some(format!("connection lost, trying again: {why}")),
                Heard::Refused(error) => return Err(trouble(&error, "cannot follow the control plane")),
            },
            () = sleep_until(wake.unwrap_or(last)), if wake.is_some() => {
                (due, last) = (None, Instant::now());
                reading = Some(read(client.clone()).boxed());
            }
            answers = async { match &mut reading { Some(reading) => reading.await, None => pending().await } } => {
                reading = None;
                match answers {
                    Ok(answers) => board.take(answers),
                    Err(error) => {
                        board.problem = Some(error.to_string());
                        due = Some(last + RETRY);
                    }
                }
            }
        }
        if ask {
            due = due.or(Some((last + BETWEEN).max(Instant::now())));
        }
    }
}

fn quits(event: &Event) -> bool {
    let Event::Key(key) = event else { return false };
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind != KeyEventKind::Release && (control_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc))
}

fn scroll(event: &Event, board: &mut Board) {
    let Event::Key(key) = event else { return };
    let last = board.jobs.len().saturating_sub(1);
    let is = |code: KeyCode| key.code == code && key.kind != KeyEventKind::Release;
    if is(KeyCode::Char('j')) || is(KeyCode::Down) {
        board.scroll = (board.scroll + 1).min(last);
    } else if is(KeyCode::Char('k')) || is(KeyCode::Up) {
        board.scroll = board.scroll.saturating_sub(1);
    } else if is(KeyCode::PageDown) {
        board.scroll = (board.scroll + 10).min(last);
    } else if is(KeyCode::PageUp) {
        board.scroll = board.scroll.saturating_sub(10);
    } else if is(KeyCode::Home) {
        board.scroll = 0;
    }
}

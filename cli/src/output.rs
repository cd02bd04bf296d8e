//! What people and programs see: one JSON document or plain text on stdout, progress and errors on stderr.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

/// All that was asked was done, but a gate refused.
pub(crate) const GATE_REFUSED: u8 = 3;

/// Logs go to stderr: warnings, with `--verbose` more, with `FORETELL_LOG` as it says.
pub(crate) fn start_logging(verbose: bool) {
    let usual = if verbose { "info,foretell=debug" } else { "warn" };
    let filter = tracing_subscriber::EnvFilter::try_from_env("FORETELL_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(usual));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
}

/// One line per cause on stderr, and `{"error": ..}` on stdout where JSON was asked for.
pub(crate) fn fail(error: &anyhow::Error, json: bool) -> ExitCode {
    let text = sentence(error);
    if json {
        print_json(&serde_json::json!({ "error": text }));
    }
    eprintln!("error: {text}");
    ExitCode::FAILURE
}

/// The error and its causes, each said once.
pub(crate) fn sentence(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Writes one JSON document. A reader that went away (`| head`) is no error.
pub(crate) fn print_json(value: &impl Serialize) {
    let text = serde_json::to_string_pretty(value).expect("our own types serialise");
    print_text(&(text + "\n"));
}

/// Writes text. A reader that went away is no error.
pub(crate) fn print_text(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Columns aligned, the first row is the heading.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let n_columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| {
        rows.iter()
            .filter_map(|row| row.get(at))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..n_columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Progress of long work: a bar on a terminal, elsewhere a line now and then.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    said: Mutex<Said>,
}

/// The last line said, where lines are said.
#[derive(Debug)]
struct Said {
    what: String,
    at: Option<Instant>,
}

/// Logs are read later: a line every few seconds tells as much as one per step.
const BETWEEN_LINES: Duration = Duration::from_secs(3);

impl Progress {
    /// Nothing said yet.
    pub(crate) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            let style = ProgressStyle::with_template("{spinner} {msg:<60} {wide_bar} {pos}/{len} {elapsed}");
            bar.set_style(style.expect("the template is well formed"));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self {
            bar,
            said: Mutex::new(Said {
                what: String::new(),
                at: None,
            }),
        }
    }

    /// Says how much is done of work whose end is not known.
    pub(crate) fn count(&self, what: &str, done: u64) {
        self.set(what, done, done);
    }

    /// Says where the work stands.
    pub(crate) fn set(&self, what: &str, done: u64, total: u64) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(total.max(1));
                bar.set_position(done);
                bar.set_message(what.to_owned());
            }
            None => self.say(what),
        }
    }

    fn say(&self, what: &str) {
        let mut said = self.said.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let due = said.at.is_none_or(|at| at.elapsed() >= BETWEEN_LINES);
        if due && said.what != what {
            eprintln!("{what}");
            *said = Said {
                what: what.to_owned(),
                at: Some(Instant::now()),
            };
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

//! `foretell features ingest`: rows from JSON lines into the online store, acknowledged batch by batch.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use foretell_features::Value;
use foretell_features_online::{IngestReport, SourceRows};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::arguments::{Common, Ingest};
use crate::online::{self, Online};
use crate::output::{self, Progress};
use crate::project::{Checked, Project};

/// Refused lines that are told one by one; all are counted.
const TOLD: usize = 1000;

type Row = BTreeMap<String, Value>;

pub(crate) async fn run(common: &Common, project: &Project, checked: &Checked, verb: Ingest) -> Result<ExitCode> {
    if let Some(source) = &verb.source {
        known_source(checked, source)?;
    }
    let record = Record::of(project, &verb.file);
    let from = verb.from_line.unwrap_or(1).max(1);
    if let (None, Some(line)) = (verb.from_line, record.acknowledged()) {
        let next = line + 1;
        eprintln!("an earlier run ended after line {line} was acknowledged; --from-line {next} goes on there");
    }
    let online = Online::open(project).await?;
    let mut lines = Lines::open(&verb, from)?;
    let mut done = Done::default();
    let progress = Progress::new();
    while let Some(batch) = lines.next_batch(usize::try_from(verb.batch)?, &mut done)? {
        let report = batch.send(&online, project).await;
        let report = report.with_context(|| match done.acknowledged {
            0 => "no line was acknowledged".to_owned(),
            line => format!(
                "lines up to {line} were acknowledged; --from-line {} goes on there",
                line + 1
            ),
        })?;
        done.take(&batch, report);
        record.note(done.acknowledged)?;
        progress.set(
            &format!("ingest: line {}", done.acknowledged),
            done.acknowledged,
            done.acknowledged,
        );
    }
    progress.finish();
    record.remove();
    done.tell(common);
    Ok(if done.n_refused == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn known_source(checked: &Checked, name: &str) -> Result<()> {
    let sources = &checked.definitions.sources;
    if !sources.contains_key(name) {
        let hint = foretell_features::spelling::hint(name, sources.keys().map(String::as_str));
        bail!("unknown source `{name}`{hint}");
    }
    Ok(())
}

/// Rows of one source with the lines they stand on.
struct Batch {
    source: String,
    rows: Vec<Row>,
    lines: Vec<u64>,
    /// The last line looked at, with rows or without.
    last_line: u64,
}

impl Batch {
    async fn send(&self, online: &Online, project: &Project) -> Result<IngestReport> {
        if self.rows.is_empty() {
            return Ok(IngestReport::default());
        }
        match online {
            Online::Server(address) => {
                let body = json!({ "source": self.source, "rows": self.rows });
                let answer = online::post(*address, "/v1/ingest", &body).await?;
                serde_json::from_value(answer).context("the server's report cannot be read")
            }
            Online::Store(store) => {
                let rows = SourceRows::of(self.rows.clone());
                Ok(store.ingest(&self.source, rows, project.now()).await?)
            }
        }
    }
}

/// What has been done.
#[derive(Debug, Default)]
struct Done {
    accepted: u64,
    n_refused: u64,
    refused: Vec<RefusedLine>,
    /// Everything up to this line is durable or refused.
    acknowledged: u64,
}

#[derive(Debug, Serialize)]
struct RefusedLine {
    line: u64,
    reason: String,
}

impl Done {
    fn take(&mut self, batch: &Batch, report: IngestReport) {
        self.accepted += report.accepted;
        for it in report.refused {
            self.refuse(batch.lines.get(it.row).copied().unwrap_or_default(), it.reason);
        }
        self.acknowledged = batch.last_line;
        // Lines that are no rows were refused as they were read, before the rows of their batch.
        self.refused.sort_by_key(|it| it.line);
    }

    fn refuse(&mut self, line: u64, reason: String) {
        self.n_refused += 1;
        if self.refused.len() < TOLD {
            self.refused.push(RefusedLine { line, reason });
        }
    }

    fn tell(&self, common: &Common) {
        if common.json {
            output::print_json(&json!({
                "acknowledged_line": self.acknowledged, "accepted": self.accepted,
                "refused": self.n_refused, "refused_lines": self.refused,
            }));
            return;
        }
        for it in &self.refused {
            eprintln!("line {}: {}", it.line, it.reason);
        }
        let untold = self.n_refused - self.refused.len() as u64;
        if untold > 0 {
            eprintln!("and {untold} more");
        }
        let (accepted, refused, line) = (self.accepted, self.n_refused, self.acknowledged);
        output::print_text(&format!(
            "{accepted} rows taken, {refused} refused, acknowledged up to line {line}\n"
        ));
    }
}

/// The lines of the file, row by row.
struct Lines {
    input: Box<dyn BufRead + Send>,
    source: Option<String>,
    from: u64,
    line: u64,
    /// What is of another source than the batch before it.
    kept: Option<(u64, String, Vec<Row>)>,
}

/// A line without `--source`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    source: String,
    rows: Vec<Row>,
}

impl Lines {
    fn open(verb: &Ingest, from: u64) -> Result<Self> {
        let input: Box<dyn BufRead + Send> = match verb.file.as_os_str() == "-" {
            true => Box::new(BufReader::new(std::io::stdin())),
            false => {
                let file = File::open(&verb.file).with_context(|| format!("cannot read `{}`", verb.file.display()))?;
                Box::new(BufReader::with_capacity(1 << 20, file))
            }
        };
        Ok(Self {
            input,
            source: verb.source.clone(),
            from,
            line: 0,
            kept: None,
        })
    }

    /// Rows of one source, about as many as asked for; `None` at the end. Lines that are no rows are refused.
    fn next_batch(&mut self, most: usize, done: &mut Done) -> Result<Option<Batch>> {
        let mut batch: Option<Batch> = None;
        while batch.as_ref().is_none_or(|it| it.rows.len() < most) {
            let Some((line, source, rows)) = self.next_rows(done)? else {
                break;
            };
            let open = batch.get_or_insert_with(|| Batch {
                source: source.clone(),
                rows: Vec::new(),
                lines: Vec::new(),
                last_line: line,
            });
            if open.source != source {
                self.kept = Some((line, source, rows));
                return Ok(batch);
            }
            open.lines.extend(rows.iter().map(|_| line));
            open.rows.extend(rows);
            open.last_line = line;
        }
        Ok(batch)
    }

    /// The next line that holds rows.
    fn next_rows(&mut self, done: &mut Done) -> Result<Option<(u64, String, Vec<Row>)>> {
        if let Some(kept) = self.kept.take() {
            return Ok(Some(kept));
        }
        let mut text = String::new();
        loop {
            text.clear();
            let read = self.input.read_line(&mut text);
            if read.with_context(|| format!("line {} cannot be read", self.line + 1))? == 0 {
                return Ok(None);
            }
            self.line += 1;
            if self.line < self.from || text.trim().is_empty() {
                continue;
            }
            match self.rows_of(&text) {
                Ok((source, rows)) => return Ok(Some((self.line, source, rows))),
                Err(error) => done.refuse(self.line, format!("{error:#}")),
            }
        }
    }

    fn rows_of(&self, text: &str) -> Result<(String, Vec<Row>)> {
        match &self.source {
            Some(source) => {
                let row = serde_json::from_str(text).context("not a row like {\"column\": value}")?;
                Ok((source.clone(), vec![row]))
            }
            None => {
                let form =
                    "not of the form {\"source\": \"orders\", \"rows\": [{..}]}; with --source a line is one row";
                let named: Named = serde_json::from_str(text).context(form)?;
                Ok((named.source, named.rows))
            }
        }
    }
}

/// `.foretell/ingest.json`: how far the run on a file has come, for one that was killed.
struct Record {
    path: PathBuf,
    file: String,
}

#[derive(Serialize, Deserialize)]
struct Noted {
    file: String,
    line: u64,
}

impl Record {
    fn of(project: &Project, file: &std::path::Path) -> Self {
        let absolute = file.canonicalize().unwrap_or_else(|_| file.to_owned());
        Self {
            path: project.state("ingest.json"),
            file: absolute.display().to_string(),
        }
    }

    fn acknowledged(&self) -> Option<u64> {
        let text = std::fs::read_to_string(&self.path).ok()?;
        let noted: Noted = serde_json::from_str(&text).ok()?;
        (noted.file == self.file && self.file != "-").then_some(noted.line)
    }

    /// Written whole under another name first: a kill leaves the old or the new.
    fn note(&self, line: u64) -> Result<()> {
        let noted = Noted {
            file: self.file.clone(),
            line,
        };
        let partial = self.path.with_extension("json.partial");
        let written = std::fs::write(&partial, serde_json::to_vec(&noted)?);
        let written = written.and_then(|()| std::fs::rename(&partial, &self.path));
        written.with_context(|| format!("cannot write `{}`", self.path.display()))
    }

    fn remove(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

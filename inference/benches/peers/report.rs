//! Who is compared on a model, and the tables of what came out.

use std::fs;
use std::rc::Rc;

use foretell_inference::TreeEnsemble;

use crate::Failure;
use crate::compiled::{Lleaves, Tl2cgen};
use crate::contender::{Batch, Batches, Contender};
use crate::lightgbm::LightGbm;
use crate::model::{Library, PeerModel};
use crate::onnxruntime::OnnxRuntime;
use crate::ours::{self, OnAllCores, Ours};
use crate::reasons::{self, Reasons};
use crate::timing::{Effort, per_row};
use crate::xgboost::XGBoost;

/// A raw score may differ by so much of its size (of 1 where it is smaller).
const TOLERANCE: f64 = 1e-5;
/// Of so many rows on, a peer that was this many times slower than the fastest at the size before is left out.
const LARGE: usize = 65_536;
const HOPELESS: f64 = 2.0;

const PEERS: [&str; 5] = ["LightGBM", "XGBoost", "ONNX Runtime", "TL2cgen", "lleaves"];

/// Everything that was measured.
#[derive(Default)]
pub(crate) struct Report {
    lines: Vec<Line>,
    on_all_cores: Vec<Line>,
    reasons: Vec<(String, Reasons, Option<f64>)>,
    notes: Vec<String>,
    /// The greatest difference of any contender's score.
    apart: f64,
}

/// One model at one size.
struct Line {
    model: String,
    rows: usize,
    /// Microseconds per row; `None`: left out.
    peers: Vec<(String, Option<f64>)>,
    /// What it chose first.
    ours: Vec<(String, f64)>,
    chosen: String,
}

type Contenders = Vec<Box<dyn Contender>>;

impl Report {
    /// Compares everybody on a model.
    pub(crate) fn add(&mut self, model: &PeerModel, batches: &Batches, effort: Effort) -> Result<(), Failure> {
        let golden = &batches.by_size.last().expect("there are sizes")[0].rows;
        let ensemble = ours::import(model, golden)
            .map_err(|error| self.notes.push(format!("{model}: ours: {error}")))
            .ok();
        let mut contenders = self.peers(model, 1);
        if let Some(ensemble) = &ensemble {
            let own = Ours::all(ensemble).map(|it| Box::new(it) as Box<dyn Contender>);
            contenders = interleaved(contenders, own.collect());
        }
        self.agree(model, &mut contenders, batches)?;
        for batches in &batches.by_size {
            let line = self.line(model, &mut contenders, batches, ensemble.as_deref(), effort);
            self.lines.push(line);
        }
        if let (Some(ensemble), true) = (&ensemble, golden.n_rows() == LARGE) {
            let batch = &batches.by_size[batches.by_size.len() - 1..][0];
            self.all_cores(model, ensemble, batch, effort)?;
        }
        let plain = ensemble.as_deref().and_then(|_| self.one_row(model));
        if let Some(ensemble) = &ensemble {
            let measured = reasons::measure(model, ensemble, &batches.by_size[0], effort)?;
            self.reasons.push((model.to_string(), measured, plain));
        }
        Ok(())
    }

    /// The peers that can take the model; why another cannot becomes a note.
    fn peers(&mut self, model: &PeerModel, threads: usize) -> Contenders {
        let boxed = |it: Result<Box<dyn Contender>, Failure>| it;
        let file = |name: &str| model.folder.join(name);
        let onnx = OnnxRuntime::open(&file("model.onnx"), threads).map(|it| Box::new(it) as _);
        let mut opened = vec![match model.library {
            Library::LightGbm => (
                "lightgbm",
                boxed(LightGbm::scores(model, threads).map(|it| Box::new(it) as _)),
            ),
            Library::XGBoost => ("xgboost", XGBoost::open(model, threads).map(|it| Box::new(it) as _)),
        }];
        opened.push(("onnx", onnx));
        if threads == 1 {
            let compiled = Tl2cgen::open(&file("tl2cgen.so"), model.columns).map(|it| Box::new(it) as _);
            opened.push(("tl2cgen", compiled));
        }
        if threads == 1 && model.library == Library::LightGbm {
            opened.push((
                "lleaves",
                Lleaves::open(&file("lleaves.so")).map(|it| Box::new(it) as _),
            ));
        }
        let mut found = Vec::new();
        for (form, it) in opened {
            let made = fs::read_to_string(file(&format!("{form}.absent")));
            match it {
                Ok(it) => found.push(it),
                Err(error) => self.notes.push(format!(
                    "{model}: {form}: {}",
                    made.unwrap_or_else(|_| error.to_string())
                )),
            }
        }
        found
    }

    /// Every contender gives what the library gave when the model was made. One that does not is out of the comparison, if it
    /// is a peer; ours must.
    fn agree(&mut self, model: &PeerModel, contenders: &mut Contenders, batches: &Batches) -> Result<(), Failure> {
        let at = batches
            .by_size
            .iter()
            .rposition(|it| it[0].n_rows() <= model.expected.len());
        let batches = &batches.by_size[at.ok_or("no batch is small enough to compare")?];
        let mut different = None;
        contenders.retain_mut(|contender| {
            let worst = worst_difference(contender.as_mut(), batches, &model.expected);
            let agrees = worst <= TOLERANCE;
            if agrees {
                self.apart = self.apart.max(worst);
            } else if contender.is_ours() {
                different = Some(format!("{model}: {} differs by {worst:e}", contender.name()));
            } else {
                self.notes.push(format!(
                    "{model}: {}: left out, its scores differ by {worst:.1e}",
                    contender.name()
                ));
            }
            agrees
        });
        different.map_or(Ok(()), |it| Err(it.into()))
    }

    fn line(
        &self,
        model: &PeerModel,
        contenders: &mut Contenders,
        batches: &[Batch],
        ensemble: Option<&TreeEnsemble>,
        effort: Effort,
    ) -> Line {
        let rows = batches[0].n_rows();
        let hopeless = self.hopeless(model, rows);
        let (left_out, measured): (Vec<_>, Vec<_>) =
            contenders.iter_mut().partition(|it| hopeless.contains(&it.name()));
        let who: Vec<(String, bool)> = measured.iter().map(|it| (it.name(), it.is_ours())).collect();
        let times = per_row(measured, batches, effort);
        let mut line = Line {
            model: model.to_string(),
            rows,
            peers: left_out.iter().map(|it| (it.name(), None)).collect(),
            ours: Vec::new(),
            chosen: ensemble.map_or(String::new(), |it| format!("{:?}", it.evaluator())),
        };
        for ((name, is_ours), micros) in who.into_iter().zip(times) {
            if is_ours {
                line.ours.push((name, micros));
            } else {
                line.peers.push((name, Some(micros)));
            }
        }
        line
    }

    /// The peers that cannot be the fastest on a large batch, by the size before.
    fn hopeless(&self, model: &PeerModel, rows: usize) -> Vec<String> {
        let Some(before) = self.lines.last() else {
            return Vec::new();
        };
        if rows < LARGE || before.model != model.to_string() {
            return Vec::new();
        }
        let limit = before.fastest_peer().unwrap_or(f64::INFINITY) * HOPELESS;
        let slow = before.peers.iter().filter(|it| it.1.is_some_and(|it| it > limit));
        slow.map(|it| it.0.clone()).collect()
    }

    fn all_cores(
        &mut self,
        model: &PeerModel,
        ensemble: &Rc<TreeEnsemble>,
        batches: &[Batch],
        effort: Effort,
    ) -> Result<(), Failure> {
        let mut contenders = self.peers(model, 0);
        contenders.push(Box::new(OnAllCores {
            ensemble: Rc::clone(ensemble),
            pool: rayon::ThreadPoolBuilder::new()
                .num_threads(std::thread::available_parallelism()?.get())
                .build()?,
        }));
        let line = self.line(model, &mut contenders, batches, Some(ensemble), effort);
        self.on_all_cores.push(line);
        Ok(())
    }

    /// What one row of the model costs us.
    fn one_row(&self, model: &PeerModel) -> Option<f64> {
        let name = model.to_string();
        let line = self.lines.iter().find(|it| it.model == name && it.rows == 1)?;
        line.ours.first().map(|it| it.1)
    }

    /// The tables, in Markdown.
    pub(crate) fn print(&self) {
        println!(
            "Raw scores of all contenders agree with the library's own to {:.0e} (checked to {TOLERANCE:.0e}).",
            self.apart
        );
        println!("\nOne thread, microseconds per row; in brackets how many times the fastest peer's time is ours.\n");
        print_lines(&self.lines);
        if !self.on_all_cores.is_empty() {
            println!("\nAll cores, microseconds per row.\n");
            print_lines(&self.on_all_cores);
        }
        self.print_reasons();
        if !self.notes.is_empty() {
            println!("\nNot compared:\n");
            self.notes.iter().for_each(|it| println!("- {it}"));
        }
    }

    fn print_reasons(&self) {
        if self.reasons.is_empty() {
            return;
        }
        println!("\nExact contributions of one row, microseconds: the library's own, and our five strongest.\n");
        println!("| model | library | ours | ratio (bar) | ours to a plain prediction | differ by |");
        println!("|---|---|---|---|---|---|");
        for (model, it, plain) in &self.reasons {
            let ratio = it.peer / it.ours;
            let of_plain = plain.map_or("-".to_owned(), |plain| number(it.ours / plain));
            println!(
                "| {model} | {} | {} | {} (30) | {of_plain} | {:.0e} |",
                number(it.peer),
                number(it.ours),
                number(ratio),
                it.difference
            );
        }
    }
}

impl Line {
    fn fastest_peer(&self) -> Option<f64> {
        self.peers.iter().filter_map(|it| it.1).min_by(f64::total_cmp)
    }

    /// How many times the fastest peer's time is to be ours.
    fn bar(&self) -> f64 {
        if self.rows == 1 { 12.0 } else { 3.0 }
    }
}

fn print_lines(lines: &[Line]) {
    let peers: Vec<&str> = PEERS
        .into_iter()
        .filter(|name| lines.iter().any(|line| line.peers.iter().any(|it| it.0 == *name)))
        .collect();
    let mut evaluators: Vec<&str> = Vec::new();
    for (name, _) in lines.iter().flat_map(|it| it.ours.iter().skip(1)) {
        if !evaluators.contains(&name.as_str()) {
            evaluators.push(name);
        }
    }
    let head: Vec<&str> = ["model", "rows"]
        .into_iter()
        .chain(peers.iter().copied())
        .chain(["ours", "bar"])
        .chain(evaluators.iter().copied())
        .collect();
    println!("| {} |\n|{}", head.join(" | "), "---|".repeat(head.len()));
    for line in lines {
        let peer = |name: &&str| match line.peers.iter().find(|it| it.0 == **name) {
            Some((_, Some(micros))) => number(*micros),
            Some((_, None)) => "slower".to_owned(),
            None => "-".to_owned(),
        };
        let mut cells = vec![line.model.clone(), line.rows.to_string()];
        cells.extend(peers.iter().map(peer));
        cells.extend(own_cells(line, &evaluators));
        println!("| {} |", cells.join(" | "));
    }
    let left_out = lines.iter().any(|line| line.peers.iter().any(|it| it.1.is_none()));
    if left_out {
        println!("\n`slower`: not run, over {HOPELESS} times the fastest peer's time at 1,024 rows.");
    }
}

/// What it chose with the ratio, the bar, and each evaluator.
fn own_cells(line: &Line, evaluators: &[&str]) -> Vec<String> {
    let fastest = line.fastest_peer().unwrap_or(f64::NAN);
    let with_ratio = |micros: f64| format!("{} ({:.1}x)", number(micros), fastest / micros);
    let Some((_, micros)) = line.ours.first() else {
        return vec!["-".to_owned(); 2 + evaluators.len()];
    };
    let verdict = if fastest / micros >= line.bar() {
        "met"
    } else {
        "missed"
    };
    let mut cells = vec![
        format!("{} {}", line.chosen, with_ratio(*micros)),
        format!("{}x {verdict}", line.bar()),
    ];
    for name in evaluators {
        let found = line.ours.iter().skip(1).find(|it| it.0 == *name);
        cells.push(found.map_or("-".to_owned(), |it| with_ratio(it.1)));
    }
    cells
}

/// Three digits.
fn number(it: f64) -> String {
    match it.abs() {
        0.0..10.0 => format!("{it:.2}"),
        10.0..100.0 => format!("{it:.1}"),
        _ => format!("{it:.0}"),
    }
}

/// One of each in turn, so that both sides see the same moments of the machine.
fn interleaved(peers: Contenders, ours: Contenders) -> Contenders {
    let (mut peers, mut ours, mut all) = (peers.into_iter(), ours.into_iter(), Vec::new());
    loop {
        let pair = (peers.next(), ours.next());
        if pair.0.is_none() && pair.1.is_none() {
            return all;
        }
        all.extend(pair.0.into_iter().chain(pair.1));
    }
}

fn worst_difference(contender: &mut dyn Contender, batches: &[Batch], expected: &[f64]) -> f64 {
    let mut worst = 0.0_f64;
    for (batch, expected) in batches.iter().zip(expected.chunks_exact(batches[0].n_rows())) {
        let mut out = vec![0.0; expected.len()];
        contender.predict(batch, &mut out);
        for (got, wanted) in out.iter().zip(expected) {
            let apart = (got - wanted).abs() / wanted.abs().max(1.0);
            // A score that is no number is as far away as can be.
            worst = if apart.is_nan() {
                f64::INFINITY
            } else {
                worst.max(apart)
            };
        }
    }
    worst
}

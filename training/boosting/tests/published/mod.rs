//! The published sets: reading, encoding, splitting and judging, as far as trying a booster needs it. The data is not part of
//! the repository; `FORETELL_DATA` names its folder.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use foretell_boosting::BoostData;
use foretell_features::{ColumnKind, FeatureMatrix};

/// One file and what to predict from it.
pub(crate) struct Set {
    pub(crate) name: &'static str,
    pub(crate) file: &'static str,
    pub(crate) separator: char,
    pub(crate) label: &'static str,
    pub(crate) positive: &'static str,
    /// Left out: keys and leaks.
    pub(crate) except: &'static [&'static str],
}

const LEAKS: &str = "Naive_Bayes_Classifier_Attrition_Flag_Card_Category_Contacts_Count_12_mon_Dependent_count_Education_Level_Months_Inactive_12_mon_";

pub(crate) const SETS: [Set; 7] = [
    set(
        "telco",
        "churn/telco_customer_churn.csv",
        ',',
        "Churn",
        "Yes",
        &["customerID"],
    ),
    set("iranian", "churn/iranian_churn.csv", ',', "Churn", "1", &[]),
    set(
        "bank_churners",
        "churn/bank_churners.csv",
        ',',
        "Attrition_Flag",
        "Attrited Customer",
        &["CLIENTNUM", LEAKS],
    ),
    set(
        "internet",
        "churn/internet_service_churn.csv.gz",
        ',',
        "churn",
        "1",
        &["id", "reamining_contract"],
    ),
    set(
        "bank_additional",
        "conversion/bank_additional_full.csv.gz",
        ';',
        "y",
        "yes",
        &["duration"],
    ),
    set("bank_full", "conversion/bank_full.csv.gz", ';', "y", "yes", &[]),
    set(
        "online_shoppers",
        "conversion/online_shoppers_intention.csv",
        ';',
        "Revenue",
        "TRUE",
        &[],
    ),
];

const fn set(
    name: &'static str,
    file: &'static str,
    separator: char,
    label: &'static str,
    positive: &'static str,
    except: &'static [&'static str],
) -> Set {
    Set {
        name,
        file,
        separator,
        label,
        positive,
        except,
    }
}

/// Encoded rows with labels.
pub(crate) struct Table {
    pub(crate) x: FeatureMatrix,
    pub(crate) kinds: Vec<ColumnKind>,
    pub(crate) label: Vec<f64>,
}

/// The folder of the public data, where there is one.
pub(crate) fn folder() -> Option<PathBuf> {
    let named = std::env::var_os("FORETELL_DATA").map(PathBuf::from);
    let beside = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo tells tests where their crate is"))
        .join("../../../shared/data");
    named.or(Some(beside)).filter(|it| it.join("churn").is_dir())
}

impl Set {
    pub(crate) fn read(&self, folder: &Path) -> std::io::Result<Table> {
        let bytes = std::fs::read(folder.join(self.file))?;
        let mut text = String::new();
        if self.file.ends_with(".gz") {
            flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text)?;
        } else {
            text = String::from_utf8(bytes).map_err(std::io::Error::other)?;
        }
        Ok(self.encode(&text))
    }

    fn encode(&self, text: &str) -> Table {
        let cells = |line: &str| {
            line.split(self.separator)
                .map(|it| it.trim().trim_matches('"').to_owned())
                .collect()
        };
        let mut lines = text.lines().filter(|it| !it.trim().is_empty());
        let header: Vec<String> = cells(lines.next().unwrap());
        let rows: Vec<Vec<String>> = lines.map(cells).collect();
        let label_at = header.iter().position(|it| it == self.label).unwrap();
        let left_out = |name: &str| self.except.iter().any(|it| name.starts_with(it));
        let kept: Vec<usize> = (0..header.len())
            .filter(|at| *at != label_at && !left_out(&header[*at]))
            .collect();
        let (mut kinds, mut columns) = (Vec::new(), Vec::new());
        for &at in &kept {
            let (kind, column) = encode_column(rows.iter().map(|row| row[at].as_str()));
            kinds.push(kind);
            columns.push(column);
        }
        let values = (0..rows.len())
            .flat_map(|row| columns.iter().map(move |it| it[row]))
            .collect();
        let label = rows
            .iter()
            .map(|row| f64::from(u8::from(row[label_at] == self.positive)))
            .collect();
        Table {
            x: FeatureMatrix::from_rows(kept.len(), values),
            kinds,
            label,
        }
    }
}

/// Numbers where every cell is one or blank; else codes by falling frequency.
fn encode_column<'a>(cells: impl Iterator<Item = &'a str> + Clone) -> (ColumnKind, Vec<f64>) {
    if cells.clone().all(|it| it.is_empty() || it.parse::<f64>().is_ok()) {
        return (
            ColumnKind::Numeric,
            cells.map(|it| it.parse().unwrap_or(f64::NAN)).collect(),
        );
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    cells.clone().for_each(|it| *counts.entry(it).or_default() += 1);
    let mut order: Vec<(&str, usize)> = counts.into_iter().collect();
    order.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let codes: BTreeMap<&str, f64> = order.iter().enumerate().map(|(code, it)| (it.0, code as f64)).collect();
    (
        ColumnKind::Category {
            cardinality: codes.len() as u32,
        },
        cells.map(|it| codes[it]).collect(),
    )
}

impl Table {
    pub(crate) fn data(&self) -> BoostData<'_> {
        BoostData::new(&self.x, &self.kinds, &self.label)
    }

    /// Training and test rows: row `i` is a test row iff `(i * 2654435761 mod 2^32) / 2^32 < 0.2`.
    pub(crate) fn published_split(&self) -> (Table, Table) {
        self.split(|row| ((row * 2_654_435_761) % (1 << 32)) as f64 / (1_u64 << 32) as f64)
    }

    /// Rows to fit and rows to stop on.
    pub(crate) fn inner_split(&self, seed: u64) -> (Table, Table) {
        self.split(|row| {
            let mixed = (row ^ (seed << 40)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            ((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 11) as f64 / (1_u64 << 53) as f64
        })
    }

    fn split(&self, fraction: impl Fn(u64) -> f64) -> (Table, Table) {
        let (held, kept): (Vec<usize>, Vec<usize>) = (0..self.label.len()).partition(|row| fraction(*row as u64) < 0.2);
        (self.select(&kept), self.select(&held))
    }

    fn select(&self, rows: &[usize]) -> Table {
        Table {
            x: self.x.select(rows),
            kinds: self.kinds.clone(),
            label: rows.iter().map(|&row| self.label[row]).collect(),
        }
    }
}

/// The chance that a positive row scores above a negative one; ties count half.
pub(crate) fn auc(scores: &[f64], label: &[f64]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let (mut rank_sum, mut start) = (0.0, 0);
    while start < order.len() {
        let tied = order[start..]
            .iter()
            .take_while(|&&it| scores[it] == scores[order[start]])
            .count();
        let rank = start as f64 + (tied as f64 + 1.0) / 2.0;
        rank_sum += rank * order[start..start + tied].iter().map(|&it| label[it]).sum::<f64>();
        start += tied;
    }
    let positives: f64 = label.iter().sum();
    (rank_sum - positives * (positives + 1.0) / 2.0) / (positives * (label.len() as f64 - positives))
}

pub(crate) fn log_loss(p: &[f64], label: &[f64]) -> f64 {
    let loss = |(p, y): (&f64, &f64)| -(y * p.max(1e-15).ln() + (1.0 - y) * (1.0 - p).max(1e-15).ln());
    p.iter().zip(label).map(loss).sum::<f64>() / p.len() as f64
}

//! Leads, what they did on the site, and which of them bought.
//!
//! **Process.** A lead has a channel, a company size, an industry and a country, and leaves page views, opened e-mails and
//! perhaps a request for a demonstration between its arrival and the next monthly sales round (30 days apart, at midnight). In the
//! round that follows it buys with `p = sigmoid(-3.4 + 0.16 v + 0.35 o + 1.5 d + size + industry + match)`, `v` page views (at most 12), `o`
//! opened e-mails (at most 5), `d` whether a demonstration was asked for, size -0.4 / 0 / +0.5, industry +0.5 for software and
//! -0.4 for public, and match +0.9 for large retailers who came by a partner. All of it can be seen, so the best reachable ROC AUC
//! is that of `p`.

use std::sync::Arc;

use rand::RngExt;

use super::company::{CHANNELS, Cell, Rows, Size, chance, day, pick, poisson, roc_auc, sigmoid};
use super::customers::Part;

/// Days between two sales rounds.
const ROUND: f64 = 30.0;
const ROUNDS: i64 = 36;

const SIZES: [(&str, f64); 3] = [("small", 0.5), ("medium", 0.3), ("large", 0.2)];
const INDUSTRIES: [&str; 5] = ["retail", "software", "manufacturing", "public", "health"];
const COUNTRIES: [&str; 6] = ["DE", "FR", "GB", "US", "NL", "PL"];

pub(crate) fn simulate(size: Size) -> Part {
    let mut rng = chance(size, "leads");
    let mut leads = Rows::new(&[
        "lead_id",
        "created_at",
        "channel",
        "company_size",
        "industry",
        "country",
    ]);
    let mut events = Rows::new(&["lead_id", "occurred_at", "kind"]);
    let mut conversions = Rows::new(&["lead_id", "converted_at", "contract_value"]);
    let (mut score, mut label) = (Vec::new(), Vec::new());
    let per_round = (size.customers as f64 * 0.06).round().max(40.0) as usize;
    // The last round, at the clock, is the one that the model is asked about.
    for number in 0..per_round * (ROUNDS as usize + 1) {
        let round = (number / per_round) as i64 - ROUNDS;
        let decision = round as f64 * ROUND;
        let id: Arc<str> = format!("L{number:06}").into();
        let created = decision - ROUND * rng.random::<f64>();
        let channel = rng.random_range(0..CHANNELS.len());
        let company = pick(&[(0, SIZES[0].1), (1, SIZES[1].1), (2, SIZES[2].1)], &mut rng);
        let industry = rng.random_range(0..INDUSTRIES.len());
        let country = COUNTRIES[rng.random_range(0..COUNTRIES.len())];
        leads.push([
            Cell::Text(id.clone()),
            Cell::Time(day(created)),
            Cell::Text(CHANNELS[channel].into()),
            Cell::Text(SIZES[company].0.into()),
            Cell::Text(INDUSTRIES[industry].into()),
            Cell::Text(country.into()),
        ]);
        let interest = rng.random::<f64>();
        let views = poisson(1.0 + 7.0 * interest, &mut rng);
        let opened = poisson(2.0 * interest, &mut rng);
        let asked = usize::from(rng.random::<f64>() < 0.25 * interest);
        for (kind, count) in [("page_view", views), ("email_open", opened), ("demo_request", asked)] {
            for _ in 0..count {
                let at = created + (decision - created) * rng.random::<f64>();
                events.push([Cell::Text(id.clone()), Cell::Time(day(at)), Cell::Text(kind.into())]);
            }
        }
        let matched = SIZES[company].0 == "large" && INDUSTRIES[industry] == "retail" && CHANNELS[channel] == "partner";
        let p = sigmoid(
            -3.4 + 0.16 * views.min(12) as f64
                + 0.35 * opened.min(5) as f64
                + 1.5 * asked as f64
                + [-0.4, 0.0, 0.5][company]
                + [0.0, 0.5, 0.0, -0.4, 0.0][industry]
                + if matched { 0.9 } else { 0.0 },
        );
        let buys = rng.random::<f64>() < p;
        let at = decision + ROUND * rng.random::<f64>();
        let value = ((1.0 + poisson(3.0, &mut rng) as f64) * [40.0, 120.0, 400.0][company]).round();
        if buys && round < 0 {
            conversions.push([Cell::Text(id), Cell::Time(day(at)), Cell::Number(Some(value))]);
        }
        if round == -1 {
            score.push(p);
            label.push(buys);
        }
    }
    Part {
        files: vec![
            ("leads", leads.into_table(Some("created_at"))),
            ("lead_events", events.into_table(Some("occurred_at"))),
            ("conversions", conversions.into_table(Some("converted_at"))),
        ],
        best: vec![("conversion", "roc_auc", roc_auc(&score, &label))],
    }
}

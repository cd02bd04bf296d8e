//! Customers, their sessions, orders, tickets, campaign touches and invoices.
//!
//! **Process.** A customer has a plan, a region, a channel, an order rate `r` per day (gamma) and a mean order value `m`
//! (log-normal), all fixed, and an engagement `e` that moves from one 60-day period to the next (log AR(1)). Within a period
//! sessions, orders, tickets and touches are Poisson with rates from `e`, `r` and the plan. An invoice is written every 30 days.
//!
//! On each period's first midnight the customer decides to stay or to let the subscription lapse, with
//! `p = sigmoid(-0.55 - 0.16 s + 0.85 u + 0.010 d + plan + young_social - 0.0010 t)`, where `s` is sessions in the last 30 days (at
//! most 20), `u` unhappy tickets in the last 60 days (at most 3), `d` days since the last order (at most 120), `t` tenure in days (at
//! most 720), plan is +0.35 / 0 / -0.5, and `young_social` is +0.9 for social-channel customers within their first 180 days. All of
//! these can be seen in the files, so the best reachable ROC AUC is that of `p` itself. After a lapse no further invoice is
//! written and all activity ends when the paid month does: churn is the absence of invoices.
//!
//! The best reachable error of the 180-day order value is that of its expectation given everything at the cutoff, hidden state
//! included, by simulating each customer's next three periods 64 times.

use std::sync::Arc;

use foretell_features::Table;
use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;
use rand_distr::{Gamma, LogNormal, StandardNormal};

use super::company::{CHANNELS, Cell, HISTORY_DAYS, Rows, Size, chance, day, pick, poisson, roc_auc, sigmoid};

/// Days between two decisions.
const PERIOD: f64 = 60.0;
/// Whole periods before the clock.
const PERIODS: i64 = HISTORY_DAYS / PERIOD as i64;
/// Days of order value that lifetime value looks ahead.
const VALUE_PERIODS: i64 = 3;
const FUTURES: usize = 64;

const PLANS: [(&str, f64); 3] = [("basic", 0.5), ("plus", 0.35), ("premium", 0.15)];
const REGIONS: [(&str, f64); 4] = [("north", 0.3), ("south", 0.25), ("east", 0.25), ("west", 0.2)];
const TOPICS: [&str; 4] = ["delivery", "billing", "quality", "account"];
const CAMPAIGNS: [&str; 4] = ["spring", "win_back", "newsletter", "loyalty"];

/// What this file adds to the company.
pub(crate) struct Part {
    pub files: Vec<(&'static str, Table)>,
    pub best: Vec<(&'static str, &'static str, f64)>,
}

struct Customer {
    id: Arc<str>,
    plan: usize,
    region: usize,
    channel: usize,
    /// Days from the clock, negative.
    signed_up: f64,
    order_rate: f64,
    order_value: f64,
    engagement: f64,
    /// The trail that the decision looks at.
    recent_sessions: usize,
    unhappy: usize,
    last_order: f64,
}

struct Logs {
    customers: Rows,
    sessions: Rows,
    orders: Rows,
    tickets: Rows,
    touches: Rows,
    invoices: Rows,
}

/// One customer at a decision that the test looks at.
#[derive(Default)]
struct Judged {
    churn_score: Vec<f64>,
    churned: Vec<bool>,
    expected_value: Vec<f64>,
    value: Vec<f64>,
}

pub(crate) fn simulate(size: Size) -> Part {
    let mut rng = chance(size, "customers");
    let mut futures = chance(size, "futures");
    let mut logs = Logs::new();
    let mut judged = Judged::default();
    for number in 0..size.customers {
        let mut customer = Customer::draw(number, &mut rng);
        logs.customer(&customer);
        customer.live(&mut logs, &mut judged, &mut rng, &mut futures);
    }
    let squared: f64 = judged
        .expected_value
        .iter()
        .zip(&judged.value)
        .map(|(p, y)| (p - y).powi(2))
        .sum();
    let best = vec![
        ("churn", "roc_auc", roc_auc(&judged.churn_score, &judged.churned)),
        ("ltv", "rmse", (squared / judged.value.len() as f64).sqrt()),
    ];
    Part {
        files: logs.into_files(),
        best,
    }
}

impl Customer {
    fn draw(number: usize, rng: &mut Xoshiro256PlusPlus) -> Self {
        let plan = pick(&[(0, PLANS[0].1), (1, PLANS[1].1), (2, PLANS[2].1)], rng);
        let channel = pick(&[(0, 0.35), (1, 0.25), (2, 0.15), (3, 0.1), (4, 0.15)], rng);
        let region = pick(
            &[
                (0, REGIONS[0].1),
                (1, REGIONS[1].1),
                (2, REGIONS[2].1),
                (3, REGIONS[3].1),
            ],
            rng,
        );
        // A third are there when the history begins, the rest arrive evenly.
        let age = if rng.random::<f64>() < 0.3 {
            0.0
        } else {
            rng.random::<f64>() * (HISTORY_DAYS - 1) as f64
        };
        let gamma = Gamma::new(1.3, 1.0 / 1.3).expect("shape and scale are positive");
        let spread = LogNormal::new(0.0, 0.6).expect("the deviation is finite");
        let order_rate = rng.sample(gamma) * [0.025, 0.04, 0.06][plan];
        Self {
            id: format!("C{number:05}").into(),
            plan,
            region,
            channel,
            signed_up: -(HISTORY_DAYS as f64) + age,
            order_rate,
            order_value: rng.sample(spread) * [28.0, 42.0, 75.0][plan],
            engagement: rng.sample::<f64, _>(StandardNormal) * 0.6,
            recent_sessions: 0,
            unhappy: 0,
            last_order: f64::NEG_INFINITY,
        }
    }

    /// From sign-up to lapse or to the clock.
    fn live(
        &mut self,
        logs: &mut Logs,
        judged: &mut Judged,
        rng: &mut Xoshiro256PlusPlus,
        futures: &mut Xoshiro256PlusPlus,
    ) {
        let mut from = self.signed_up;
        let mut next_invoice = self.signed_up;
        let mut value_ahead = None; // index into judged, while the 180 days run
        for period in (0..=PERIODS).rev() {
            let decision = -(period as f64) * PERIOD;
            if decision <= self.signed_up {
                continue;
            }
            // First the days up to this decision, then the decision.
            let paid = self.spend(from, decision, logs, rng);
            next_invoice = self.invoices(next_invoice, decision, logs);
            if let Some(at) = value_ahead {
                judged.value[at] += paid;
            }
            if period == 0 {
                return; // the clock: what follows is what the models are asked
            }
            if period == VALUE_PERIODS {
                value_ahead = Some(judged.value.len());
                judged
                    .expected_value
                    .push(self.expected_value(decision, next_invoice, futures));
                judged.value.push(0.0);
            }
            let lapse = self.lapse_probability(decision);
            let lapses = rng.random::<f64>() < lapse;
            if period == 1 {
                judged.churn_score.push(lapse);
                judged.churned.push(lapses);
            }
            if lapses {
                let paid = self.spend(decision, next_invoice.min(0.0), logs, rng);
                if let Some(at) = value_ahead {
                    judged.value[at] += paid;
                }
                return;
            }
            self.engagement = 0.8 * self.engagement + 0.42 * rng.sample::<f64, _>(StandardNormal);
            from = decision;
        }
    }

    fn lapse_probability(&self, now: f64) -> f64 {
        let tenure = (now - self.signed_up).clamp(0.0, 720.0);
        let since_order = (now - self.last_order).min(120.0);
        let young_social = if CHANNELS[self.channel] == "social" && tenure < 180.0 {
            0.9
        } else {
            0.0
        };
        sigmoid(
            -0.55 - 0.16 * self.recent_sessions.min(20) as f64
                + 0.85 * self.unhappy.min(3) as f64
                + 0.010 * since_order
                + [0.35, 0.0, -0.5][self.plan]
                + young_social
                - 0.0010 * tenure,
        )
    }

    fn session_rate(&self) -> f64 {
        0.22 * self.engagement.exp() * [0.8, 1.0, 1.4][self.plan]
    }

    fn ticket_rate(&self) -> f64 {
        0.010
    }

    /// Writes the events of `[from, to)`, keeps the trail, and returns the order value.
    fn spend(&mut self, from: f64, to: f64, logs: &mut Logs, rng: &mut Xoshiro256PlusPlus) -> f64 {
        let days = to - from;
        if days <= 0.0 {
            return 0.0;
        }
        self.sessions(from, to, logs, rng);
        self.tickets(from, to, logs, rng);
        for _ in 0..poisson(0.05 * days, rng) {
            let clicked = rng.random::<f64>() < 0.1 + 0.1 * sigmoid(self.engagement);
            let campaign = CAMPAIGNS[rng.random_range(0..CAMPAIGNS.len())];
            logs.touches
                .push([self.key(), when(from, days, rng), text(campaign), Cell::Flag(clicked)]);
        }
        let mut total = 0.0;
        let spread = LogNormal::new(-0.08, 0.4).expect("the deviation is finite"); // mean 1
        for _ in 0..poisson(self.order_rate * days, rng) {
            let at = from + rng.random::<f64>() * days;
            let amount = (self.order_value * rng.sample(spread) * 100.0).round() / 100.0;
            let quantity = 1 + poisson(0.8, rng) as i64;
            let channel = if rng.random::<f64>() < 0.6 { "app" } else { "web" };
            logs.orders.push([
                self.key(),
                Cell::Time(day(at)),
                Cell::Number(Some(amount)),
                Cell::Count(Some(quantity)),
                text(channel),
            ]);
            self.last_order = self.last_order.max(at);
            total += amount;
        }
        total
    }

    fn sessions(&mut self, from: f64, to: f64, logs: &mut Logs, rng: &mut Xoshiro256PlusPlus) {
        self.recent_sessions = 0;
        for _ in 0..poisson(self.session_rate() * (to - from), rng) {
            let at = from + rng.random::<f64>() * (to - from);
            let minutes = (rng.random::<f64>() * 18.0 + 1.0).round();
            let pages = 1 + poisson(4.0, rng) as i64;
            logs.sessions.push([
                self.key(),
                Cell::Time(day(at)),
                Cell::Number(Some(minutes)),
                Cell::Count(Some(pages)),
            ]);
            self.recent_sessions += usize::from(at >= to - 30.0);
        }
    }

    fn tickets(&mut self, from: f64, to: f64, logs: &mut Logs, rng: &mut Xoshiro256PlusPlus) {
        self.unhappy = 0;
        for _ in 0..poisson(self.ticket_rate() * (to - from), rng) {
            let at = from + rng.random::<f64>() * (to - from);
            let satisfaction = rng.random_range(1..=5_i64);
            // One answer in eight is never given.
            let answered = rng.random::<f64>() > 0.125;
            let topic = TOPICS[rng.random_range(0..TOPICS.len())];
            logs.tickets.push([
                self.key(),
                Cell::Time(day(at)),
                text(topic),
                Cell::Count(answered.then_some(satisfaction)),
            ]);
            self.unhappy += usize::from(answered && satisfaction <= 2);
        }
    }

    fn invoices(&self, mut next: f64, until: f64, logs: &mut Logs) -> f64 {
        while next < until {
            let price = [9.0, 19.0, 39.0][self.plan];
            logs.invoices
                .push([self.key(), Cell::Time(day(next)), Cell::Number(Some(price))]);
            next += 30.0;
        }
        next
    }

    /// Mean order value of the next [`VALUE_PERIODS`] periods over simulated futures.
    fn expected_value(&self, now: f64, next_invoice: f64, rng: &mut Xoshiro256PlusPlus) -> f64 {
        let total: f64 = (0..FUTURES).map(|_| self.one_future(now, next_invoice, rng)).sum();
        total / FUTURES as f64
    }

    fn one_future(&self, now: f64, next_invoice: f64, rng: &mut Xoshiro256PlusPlus) -> f64 {
        let mut ghost = Customer {
            id: self.id.clone(),
            ..*self
        };
        let daily = self.order_rate * self.order_value;
        let mut total = 0.0;
        for ahead in 0..VALUE_PERIODS {
            let from = now + ahead as f64 * PERIOD;
            if rng.random::<f64>() < ghost.lapse_probability(from) {
                let paid_until = next_invoice + ((from - next_invoice) / 30.0).ceil().max(0.0) * 30.0;
                return total + daily * (paid_until - from);
            }
            ghost.engagement = 0.8 * ghost.engagement + 0.42 * rng.sample::<f64, _>(StandardNormal);
            ghost.recent_sessions = poisson(ghost.session_rate() * 30.0, rng);
            ghost.unhappy = poisson(ghost.ticket_rate() * PERIOD * 0.875 * 0.4, rng);
            for _ in 0..poisson(ghost.order_rate * PERIOD, rng) {
                ghost.last_order = ghost.last_order.max(from + rng.random::<f64>() * PERIOD);
            }
            total += daily * PERIOD;
        }
        total
    }

    fn key(&self) -> Cell {
        Cell::Text(self.id.clone())
    }
}

impl Logs {
    fn new() -> Self {
        Self {
            customers: Rows::new(&[
                "customer_id",
                "signed_up_at",
                "plan",
                "region",
                "channel",
                "monthly_price",
            ]),
            sessions: Rows::new(&["customer_id", "started_at", "minutes", "pages"]),
            orders: Rows::new(&["customer_id", "ordered_at", "amount", "quantity", "channel"]),
            tickets: Rows::new(&["customer_id", "opened_at", "topic", "satisfaction"]),
            touches: Rows::new(&["customer_id", "sent_at", "campaign", "clicked"]),
            invoices: Rows::new(&["customer_id", "billed_at", "amount"]),
        }
    }

    fn customer(&mut self, it: &Customer) {
        let price = [9.0, 19.0, 39.0][it.plan];
        let (plan, region) = (text(PLANS[it.plan].0), text(REGIONS[it.region].0));
        let channel = text(CHANNELS[it.channel]);
        self.customers.push([
            it.key(),
            Cell::Time(day(it.signed_up)),
            plan,
            region,
            channel,
            Cell::Number(Some(price)),
        ]);
    }

    fn into_files(self) -> Vec<(&'static str, Table)> {
        vec![
            ("customers", self.customers.into_table(Some("signed_up_at"))),
            ("sessions", self.sessions.into_table(Some("started_at"))),
            ("orders", self.orders.into_table(Some("ordered_at"))),
            ("tickets", self.tickets.into_table(Some("opened_at"))),
            ("touches", self.touches.into_table(Some("sent_at"))),
            ("invoices", self.invoices.into_table(Some("billed_at"))),
        ]
    }
}

fn when(from: f64, days: f64, rng: &mut Xoshiro256PlusPlus) -> Cell {
    Cell::Time(day(from + rng.random::<f64>() * days))
}

fn text(it: &str) -> Cell {
    Cell::Text(it.into())
}

#[cfg(test)]
mod tests {
    use foretell_features::Timestamp;

    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_customers_and_the_process_can_be_learned() {
        let size = Size {
            customers: 1500,
            products: 1,
            seed: 7,
        };
        let (one, two) = (simulate(size), simulate(size));
        assert_eq!(one.files, two.files);
        let (_, _, auc) = one.best[0];
        assert!((0.75..0.95).contains(&auc), "best reachable AUC {auc}");
        let other = simulate(Size { seed: 8, ..size });
        assert_ne!(one.files[1], other.files[1]);
    }

    #[test]
    fn nobody_acts_after_the_clock() {
        let part = simulate(Size {
            customers: 300,
            products: 1,
            seed: 1,
        });
        for (name, table) in &part.files {
            let times = table.iter().filter_map(|(_, column)| match column {
                foretell_features::Column::Time(it) => Some(it),
                _ => None,
            });
            let latest = times.flatten().flatten().max().copied().unwrap_or(Timestamp(0));
            assert!(
                latest <= super::super::company::AS_OF,
                "{name} has an event at {latest}"
            );
        }
    }
}

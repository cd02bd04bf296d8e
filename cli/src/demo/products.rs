//! Products with daily sales, and the revenue they make.
//!
//! **Process.** Units of product `p` on day `d` are Poisson with a gamma-distributed mean (dispersion 0.02) around
//! `base_p * trend_p(d) * weekday_c(d) * season_c(d) * (price/regular)^-elasticity_p * promotion * holiday`, where `c` is the product's category. Prices
//! change rarely, promotions run for a week at 20 % off and lift sales further, holidays lift or close. Prices, promotions and
//! holidays are planned: they are in the file 28 days beyond the last sale. Revenue is the sum over products of units times price.
//! The best reachable error is that of the expectation under the process.

use std::f64::consts::TAU;
use std::sync::Arc;

use foretell_features::{Span, Timestamp};
use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;
use rand_distr::{Gamma, StandardNormal};

use super::company::{AS_OF, Cell, HISTORY_DAYS, Rows, Size, chance, poisson};
use super::customers::Part;

/// Days that plans reach beyond the clock, and that the test holds back.
const HORIZON: i64 = 28;
const DISPERSION: f64 = 0.02;

const CATEGORIES: [&str; 5] = ["coffee", "tea", "snacks", "home", "gifts"];
/// Monday to Sunday, per category.
const WEEKDAYS: [[f64; 7]; 5] = [
    [1.15, 1.05, 1.0, 1.0, 1.05, 0.9, 0.85],
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
    [0.85, 0.9, 0.95, 1.0, 1.2, 1.25, 0.85],
    [0.8, 0.85, 0.9, 0.95, 1.1, 1.4, 1.0],
    [0.9, 0.9, 0.9, 1.0, 1.1, 1.2, 1.0],
];
/// Strength and peak (share of the year) of the yearly swing.
const SEASONS: [(f64, f64); 5] = [(0.15, 0.0), (0.3, 0.03), (0.1, 0.5), (0.15, 0.4), (0.5, 0.95)];

struct Product {
    name: Arc<str>,
    category: usize,
    base: f64,
    growth: f64,
    elasticity: f64,
    regular_price: f64,
    price: f64,
    promoted_until: i64,
}

pub(crate) fn simulate(size: Size) -> Part {
    let mut rng = chance(size, "products");
    let mut products: Vec<Product> = (0..size.products)
        .map(|number| Product::draw(number, &mut rng))
        .collect();
    let mut sales = Rows::new(&["date", "product", "category", "price", "promotion", "holiday", "units"]);
    let mut revenue = Rows::new(&["date", "revenue", "holiday", "promotion_share"]);
    let (mut units_error, mut units_total, mut money_error, mut money_total) = (0.0, 0.0, 0.0, 0.0);
    for at in -HISTORY_DAYS..HORIZON {
        let date = AS_OF.plus(Span::days(at));
        let holiday = holiday(date);
        let (mut money, mut expected_money, mut promoted) = (0.0, 0.0, 0.0);
        for product in &mut products {
            product.plan(at, &mut rng);
            let mean = product.mean(at, date, holiday);
            let units = sold(mean, &mut rng);
            let known = at < 0;
            if (-HORIZON..0).contains(&at) {
                units_error += (units as f64 - mean).abs();
                units_total += units as f64;
            }
            money += units as f64 * product.price;
            expected_money += mean * product.price;
            promoted += f64::from(u8::from(product.promoted(at)));
            sales.push([
                Cell::Time(date),
                Cell::Text(product.name.clone()),
                Cell::Text(CATEGORIES[product.category].into()),
                Cell::Number(Some(product.price)),
                Cell::Flag(product.promoted(at)),
                Cell::Text(holiday.into()),
                Cell::Count(known.then_some(units as i64)),
            ]);
        }
        if (-HORIZON..0).contains(&at) {
            money_error += (money - expected_money).abs();
            money_total += money;
        }
        let share = promoted / products.len() as f64;
        let money = (at < 0).then_some((money * 100.0).round() / 100.0);
        revenue.push([
            Cell::Time(date),
            Cell::Number(money),
            Cell::Text(holiday.into()),
            Cell::Number(Some(share)),
        ]);
    }
    Part {
        files: vec![("sales", sales.into_table(None)), ("revenue", revenue.into_table(None))],
        best: vec![
            ("demand", "wape", units_error / units_total),
            ("revenue", "wape", money_error / money_total),
        ],
    }
}

impl Product {
    fn draw(number: usize, rng: &mut Xoshiro256PlusPlus) -> Self {
        let category = number % CATEGORIES.len();
        let price = ([4.5, 5.0, 3.0, 18.0, 25.0][category] * (0.7 + 0.6 * rng.random::<f64>()) * 100.0).round() / 100.0;
        Self {
            name: format!("{}-{:02}", CATEGORIES[category], number / CATEGORIES.len() + 1).into(),
            category,
            base: 12.0 * (0.8 * rng.sample::<f64, _>(StandardNormal)).exp() + 4.0,
            growth: 0.15 * rng.sample::<f64, _>(StandardNormal) + 0.08,
            elasticity: 0.8 + 1.2 * rng.random::<f64>(),
            regular_price: price,
            price,
            promoted_until: i64::MIN,
        }
    }

    /// Prices and promotions of the day.
    fn plan(&mut self, at: i64, rng: &mut Xoshiro256PlusPlus) {
        if rng.random::<f64>() < 1.0 / 200.0 {
            let change = 0.95 + 0.13 * rng.random::<f64>();
            self.regular_price = (self.regular_price * change * 100.0).round() / 100.0;
        }
        if !self.promoted(at) && rng.random::<f64>() < 1.0 / 45.0 {
            self.promoted_until = at + 7;
        }
        let factor = if self.promoted(at) { 0.8 } else { 1.0 };
        self.price = (self.regular_price * factor * 100.0).round() / 100.0;
    }

    fn promoted(&self, at: i64) -> bool {
        at < self.promoted_until
    }

    fn mean(&self, at: i64, date: Timestamp, holiday: &str) -> f64 {
        let days = date.0.div_euclid(Span::DAY.0);
        let weekday = (days + 3).rem_euclid(7) as usize; // 1970-01-01 was a Thursday
        let (strength, peak) = SEASONS[self.category];
        let year = days as f64 / 365.25;
        let season = (strength * (TAU * (year - peak)).cos()).exp();
        let trend = (self.growth * at as f64 / 365.25).exp();
        let promotion = if self.promoted(at) { 1.25 } else { 1.0 };
        let discount = (self.price / self.regular_price).powf(-self.elasticity);
        let feast = match (holiday, CATEGORIES[self.category]) {
            ("none", _) => 1.0,
            ("sale_day", _) => 1.8,
            (_, "gifts") => 1.5,
            _ => 0.6,
        };
        self.base * trend * WEEKDAYS[self.category][weekday] * season * promotion * discount * feast
    }
}

/// Fixed-date holidays and the last Friday of November.
fn holiday(date: Timestamp) -> &'static str {
    use std::str::FromStr as _;
    let text = date.to_string();
    let month_day = &text[5..10];
    let november =
        month_day.starts_with("11-") && i64::from_str(&month_day[3..]).is_ok_and(|it| (23..=29).contains(&it));
    let friday = (date.0.div_euclid(Span::DAY.0) + 3).rem_euclid(7) == 4;
    match month_day {
        "01-01" | "05-01" | "10-03" | "12-25" | "12-26" => "public",
        "02-14" | "12-24" => "feast",
        _ if november && friday => "sale_day",
        _ => "none",
    }
}

fn sold(mean: f64, rng: &mut Xoshiro256PlusPlus) -> usize {
    let gamma = Gamma::new(1.0 / DISPERSION, DISPERSION).expect("shape and scale are positive");
    poisson(mean * rng.sample(gamma), rng)
}

//! What expectations mean, and everything that is wrong with them.

use expect_test::{Expect, expect};

use crate::definition::Definitions;
use crate::expectation::OnFailure;

fn check(expectations: &str, expected: Expect) {
    let text = format!(
        "[entity.customer]\nkey = {{ id = \"string\" }}\n[source.orders]\npath = \"o.csv\"\nevent_time = \"at\"\n\
         [view.p]\nentity = \"customer\"\nsource = \"orders\"\nlatest = \"*\"\n{expectations}"
    );
    let got = match Definitions::parse(&[("features/a.toml".into(), text)]) {
        Ok(definitions) => {
            let view = &definitions.views["p"];
            let line = |it: &crate::Expectation| {
                format!(
                    "{} | {} | {} | {}\n",
                    it.check.column().unwrap_or_default(),
                    it.check.name(),
                    it.check.bound(),
                    it.on_failure
                )
            };
            let admits = view.admits().map(|it| format!("admits {it}\n")).unwrap_or_default();
            view.expect.iter().map(line).collect::<String>() + &admits
        }
        Err(problems) => problems.to_string(),
    };
    expected.assert_eq(&got);
}

#[test]
fn every_expectation_has_a_plain_form() {
    check(
        r#"
[view.p.expect]
rows = { min = 100, max = 1e6, on_failure = "warn" }
fresh_within = "2d"
unique = ["order_id", "line"]
references = { customer_id = "orders.id", shop = { to = "orders.shop", on_failure = "warn" } }
status = { in = ["paid", "open"], matches = "^[a-z]+$", not_null = true }
"quantity * price" = { min = 0, max = 10000, mean = { min = 1, max = 90, on_failure = "warn" } }
amount = [
  { min = 0, not_null = true, on_failure = "quarantine" },
  { null_rate = { max = 0.05 }, quantile = { q = 0.5, min = 1 }, unique = true, increasing = true },
]
'"rows"' = { min = 2024-01-01 }
"#,
        expect![[r#"
             | rows | 100 to 1000000 | warn
             | fresh_within | 2d | refuse
            order_id, line | unique | true | refuse
            customer_id | references | orders.id | refuse
            shop | references | orders.shop | warn
            status | not_null | true | refuse
            status | in | paid, open | refuse
            status | matches | ^[a-z]+$ | refuse
            quantity * price | min | 0 | refuse
            quantity * price | max | 10000 | refuse
            quantity * price | mean | 1 to 90 | warn
            amount | not_null | true | quarantine
            amount | min | 0 | quarantine
            amount | unique | true | refuse
            amount | increasing | true | refuse
            amount | null_rate | <= 0.05 | refuse
            amount | quantile | q 0.5: >= 1 | refuse
            rows | min | 2024-01-01T00:00:00Z | refuse
            admits amount IS NOT NULL AND coalesce(amount >= 0, TRUE)
        "#]],
    );
}

#[test]
fn wrong_expectations_are_named_with_their_lines() {
    check(
        r#"
[view.p.expect]
on_failure = "refus"
fresh_withn = "2d"
rows = { min = 5, max = 1 }
references = { shop = "shops.id", id = "orders" }
amount = { mini = 0, min = "2024 = ", mean = {}, quantile = { q = 2, min = 1 } }
code = { matches = "[A-Z", in = [], unique = true, on_failure = "quarantine" }
"a +" = { min = 0 }
"#,
        expect![[r#"
            features/a.toml:12: view.p.expect.on_failure: unknown action `refus`; did you mean `refuse`?
            features/a.toml:13: view.p.expect.fresh_withn: `fresh_withn` is not an expectation; did you mean `fresh_within`? got=`"2d"`
            features/a.toml:14: view.p.expect.rows.min: nothing lies between. got=`5 to 1`
            features/a.toml:15: view.p.expect.references.id: write it as "source.column". got=`orders`
            features/a.toml:15: view.p.expect.references.shop: `shops` is not a source; there is `orders`
            features/a.toml:16: view.p.expect.amount.mean: there is nothing to hold it against; write `min` or `max`
            features/a.toml:16: view.p.expect.amount.mini: unknown key `mini`; did you mean `min`?
            features/a.toml:16: view.p.expect.amount.quantile.q: a quantile is between 0 and 1. got=`2`
            features/a.toml:17: view.p.expect.code.in: name at least one value
            features/a.toml:17: view.p.expect.code.matches: `[A-Z` is not a regular expression: unclosed character class
            features/a.toml:17: view.p.expect.code.unique: `unique` is about all rows together, which cannot be quarantined; give it on_failure = "refuse" or "warn"
            features/a.toml:18: view.p.expect.a +: cannot read `a +`: Expected: an expression, found: EOF"#]],
    );
}

#[test]
fn a_usual_action_holds_where_none_is_given() {
    check(
        "[view.p.expect]\non_failure = \"quarantine\"\namount = { min = 0 }\nrows = { min = 1 }\n",
        expect![[r#"
            features/a.toml:13: view.p.expect.rows: `rows` is about all rows together, which cannot be quarantined; give it on_failure = "refuse" or "warn""#]],
    );
    assert_eq!(OnFailure::default(), OnFailure::Refuse);
}

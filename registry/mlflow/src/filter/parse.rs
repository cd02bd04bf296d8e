//! Tokens to clauses, without knowing what the names mean.

use std::iter::Peekable;

use foretell_tracking::{NumberTest, Test};

use super::tokens::{Token, tokens};
use crate::error::ApiError;

/// `entity.key test`, e.g. ``tags.`a b` = 'x'``; a bare name has no entity.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Clause {
    pub(super) entity: Option<String>,
    pub(super) key: String,
    pub(super) test: Test,
}

/// `entity.key [ASC|DESC]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OrderKey {
    pub(super) entity: Option<String>,
    pub(super) key: String,
    pub(super) descending: bool,
}

/// All clauses of a filter; none for an empty one.
pub(super) fn clauses(filter: &str) -> Result<Vec<Clause>, ApiError> {
    let wrong = || ApiError::invalid(format!("Invalid clause(s) in filter string: {filter}"));
    let mut tokens = tokens(filter).ok_or_else(wrong)?.into_iter().peekable();
    let mut clauses = Vec::new();
    while tokens.peek().is_some() {
        clauses.push(clause(&mut tokens).ok_or_else(wrong)?);
        match tokens.next() {
            None => return Ok(clauses),
            Some(it) if it.is_word("AND") && tokens.peek().is_some() => {}
            Some(_) => return Err(wrong()),
        }
    }
    Ok(clauses)
}

/// One key of an order.
pub(super) fn order_key(text: &str) -> Result<OrderKey, ApiError> {
    let wrong = || ApiError::invalid(format!("Invalid order_by clause '{text}'. Could not be parsed."));
    let mut tokens = tokens(text).ok_or_else(wrong)?.into_iter();
    let Some(Token::Name(entity, key)) = tokens.next() else {
        return Err(wrong());
    };
    let descending = match tokens.next() {
        None => false,
        Some(it) if it.is_word("ASC") => false,
        Some(it) if it.is_word("DESC") => true,
        Some(_) => return Err(wrong()),
    };
    tokens
        .next()
        .is_none()
        .then_some(OrderKey {
            entity,
            key,
            descending,
        })
        .ok_or_else(wrong)
}

type Tokens = Peekable<std::vec::IntoIter<Token>>;

fn clause(tokens: &mut Tokens) -> Option<Clause> {
    let Token::Name(entity, key) = tokens.next()? else {
        return None;
    };
    Some(Clause {
        entity,
        key,
        test: test(tokens)?,
    })
}

fn test(tokens: &mut Tokens) -> Option<Test> {
    match tokens.next()? {
        Token::Operator(operator) => comparison(&operator, tokens.next()?),
        it if it.is_word("LIKE") => text(tokens.next()?).map(Test::Like),
        it if it.is_word("ILIKE") => text(tokens.next()?).map(Test::ILike),
        it if it.is_word("IN") => list(tokens).map(Test::In),
        it if it.is_word("NOT") => tokens.next()?.is_word("IN").then(|| list(tokens))?.map(Test::NotIn),
        it if it.is_word("IS") => null(tokens),
        _ => None,
    }
}

fn null(tokens: &mut Tokens) -> Option<Test> {
    match tokens.next()? {
        it if it.is_word("NULL") => Some(Test::IsNull),
        it if it.is_word("NOT") => tokens.next()?.is_word("NULL").then_some(Test::IsNotNull),
        _ => None,
    }
}

fn comparison(operator: &str, value: Token) -> Option<Test> {
    if let Token::Number(number) = value {
        let test = match operator {
            "=" => NumberTest::Equal,
            "!=" => NumberTest::NotEqual,
            "<" => NumberTest::Less,
            "<=" => NumberTest::LessOrEqual,
            ">" => NumberTest::Greater,
            ">=" => NumberTest::GreaterOrEqual,
            _ => return None,
        };
        return Some(Test::Number(test, number));
    }
    match operator {
        "=" => text(value).map(Test::Equal),
        "!=" => text(value).map(Test::NotEqual),
        _ => None,
    }
}

fn list(tokens: &mut Tokens) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    (tokens.next()? == Token::Open).then_some(())?;
    loop {
        texts.push(text(tokens.next()?)?);
        match tokens.next()? {
            Token::Comma if tokens.peek() == Some(&Token::Close) => {}
            Token::Comma => continue,
            Token::Close => return Some(texts),
            _ => return None,
        }
        tokens.next();
        return Some(texts);
    }
}

fn text(token: Token) -> Option<String> {
    match token {
        Token::Text(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(filter: &str, expected: &[(Option<&str>, &str, Test)]) {
        let expected = expected.iter().map(|(entity, key, test)| Clause {
            entity: entity.map(str::to_owned),
            key: (*key).to_owned(),
            test: test.clone(),
        });
        assert_eq!(clauses(filter).unwrap(), expected.collect::<Vec<_>>(), "{filter}");
    }

    #[test]
    fn clauses_are_read_as_mlflow_reads_them() {
        let equal = |it: &str| Test::Equal(it.to_owned());
        check("", &[]);
        check("name = 'churn'", &[(None, "name", equal("churn"))]);
        check("name=\"churn\"", &[(None, "name", equal("churn"))]);
        check(
            "tags.`a b` != 'x''y'",
            &[(Some("tags"), "a b", Test::NotEqual("x'y".into()))],
        );
        check(
            "tag.\"mlflow.user\" LIKE 'a%'",
            &[(Some("tag"), "mlflow.user", Test::Like("a%".into()))],
        );
        check(
            "tags.mlflow.user ilike \"a%\"",
            &[(Some("tags"), "mlflow.user", Test::ILike("a%".into()))],
        );
        check(
            "metrics.auc >= .5 AND params.depth = '6'",
            &[
                (Some("metrics"), "auc", Test::Number(NumberTest::GreaterOrEqual, 0.5)),
                (Some("params"), "depth", equal("6")),
            ],
        );
        check(
            "metrics.loss < -1e-3",
            &[(Some("metrics"), "loss", Test::Number(NumberTest::Less, -1e-3))],
        );
        check(
            "run_id IN ('a', 'b')",
            &[(None, "run_id", Test::In(vec!["a".into(), "b".into()]))],
        );
        check(
            "run_id not in ('a',)",
            &[(None, "run_id", Test::NotIn(vec!["a".into()]))],
        );
        check(
            "tags.x IS NOT NULL and tags.y is null",
            &[(Some("tags"), "x", Test::IsNotNull), (Some("tags"), "y", Test::IsNull)],
        );
        check(
            "attributes.`run name` = 'x'",
            &[(Some("attributes"), "run name", equal("x"))],
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let wrong = [
            "name",
            "name =",
            "name = churn",
            "= 'x'",
            "name = 'x",
            "name == 'x'",
            "name = 'x' OR name = 'y'",
            "name = 'x' AND",
            "name = 'x' name = 'y'",
            "(name = 'x')",
            "name IN 'x'",
            "name IN ()",
            "name > 'x'",
            "name LIKE 3",
            "name IS 'x'",
            "name = 'x'; DROP TABLE runs",
            "tags.`a = 'x'",
            "tags. = 'x'",
            "💥",
        ];
        for filter in wrong {
            let error = clauses(filter).unwrap_err();
            assert_eq!(error.message, format!("Invalid clause(s) in filter string: {filter}"));
        }
    }

    #[test]
    fn an_order_is_a_name_and_a_direction() {
        let check = |text: &str, entity: Option<&str>, key: &str, descending| {
            let expected = OrderKey {
                entity: entity.map(str::to_owned),
                key: key.to_owned(),
                descending,
            };
            assert_eq!(order_key(text).unwrap(), expected, "{text}");
        };
        check("name", None, "name", false);
        check("metrics.`a b` DESC", Some("metrics"), "a b", true);
        check("attributes.start_time asc", Some("attributes"), "start_time", false);
        assert!(order_key("name DOWN").is_err());
        assert!(order_key("").is_err());
    }
}

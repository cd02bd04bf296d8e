//! Page tokens that only fit the query that they came from.

use crate::error::ApiError;

/// The query's parts as digests, each with what is said when it changed.
#[derive(Debug)]
pub(crate) struct QueryToken(Vec<(&'static str, u64)>);

impl QueryToken {
    pub(crate) fn of(parts: &[(&'static str, String)]) -> Self {
        Self(parts.iter().map(|(says, text)| (*says, digest(text))).collect())
    }

    /// The token of the page that starts here.
    pub(crate) fn at(&self, offset: u64) -> String {
        let digests: String = self.0.iter().map(|(_, digest)| format!("-{digest:016x}")).collect();
        format!("after-{offset}{digests}")
    }

    /// Where the asked page starts.
    ///
    /// # Errors
    /// The token is not one of ours, or came from another query.
    pub(crate) fn offset(&self, token: Option<&str>) -> Result<u64, ApiError> {
        let Some(token) = token.filter(|it| !it.is_empty()) else {
            return Ok(0);
        };
        let (offset, digests) =
            parse(token).ok_or_else(|| ApiError::invalid(format!("Invalid page token: {token}.")))?;
        let mut pairs = self.0.iter().zip(&digests);
        if let Some(((says, _), _)) = pairs.find(|((_, mine), theirs)| mine != *theirs) {
            return Err(ApiError::invalid(format!("{says}.")));
        }
        let whole = digests.len() == self.0.len();
        whole
            .then_some(offset)
            .ok_or_else(|| ApiError::invalid(format!("Invalid page token: {token}.")))
    }
}

fn parse(token: &str) -> Option<(u64, Vec<u64>)> {
    let mut parts = token.strip_prefix("after-")?.split('-');
    let offset = parts
        .next()?
        .parse()
        .ok()
        .filter(|it: &u64| i64::try_from(*it).is_ok())?;
    let digests = parts
        .map(|it| u64::from_str_radix(it, 16).ok())
        .collect::<Option<_>>()?;
    Some((offset, digests))
}

/// FNV-1a: the same on every machine and in every version.
fn digest(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_fits_its_own_query_only() {
        let token =
            |filter: &str| QueryToken::of(&[("no such experiments", "0".into()), ("no such filter", filter.into())]);
        let made = token("a").at(50);
        assert_eq!(token("a").offset(Some(&made)).unwrap(), 50);
        assert_eq!(token("a").offset(Some("")).unwrap(), 0);
        let error = token("b").offset(Some(&made)).unwrap_err();
        assert!(error.message.starts_with("no such filter"), "{error}");
        for wrong in [
            "x",
            "after-",
            "after-1",
            "after--1",
            "after-1-zz",
            "after-99999999999999999999",
        ] {
            assert!(token("a").offset(Some(wrong)).is_err(), "{wrong}");
        }
    }
}

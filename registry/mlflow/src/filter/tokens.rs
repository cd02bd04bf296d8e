//! Text to tokens.

use std::iter::Peekable;
use std::str::Chars;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// `a`, `a.b`, ``a.`b c` ``, `"a"`: also the words of the language, and a text in double quotes.
    Name(Option<String>, String),
    Text(String),
    Number(f64),
    Operator(String),
    Open,
    Close,
    Comma,
}

impl Token {
    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self, Self::Name(None, name) if name.eq_ignore_ascii_case(word))
    }
}

/// None where a character has no place or a quote is not closed.
pub(super) fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut chars = text.chars().peekable();
    let mut tokens = Vec::new();
    while let Some(&c) = chars.peek() {
        let token = match c {
            c if c.is_whitespace() => {
                chars.next();
                continue;
            }
            '\'' => Token::Text(quoted(&mut chars)?),
            '"' if after_operator(&tokens) => Token::Text(quoted(&mut chars)?),
            '(' | ')' | ',' => punctuation(chars.next()?),
            '=' | '!' | '<' | '>' => operator(&mut chars)?,
            '0'..='9' | '-' | '+' => Token::Number(bare(&mut chars).parse().ok()?),
            '.' if after_operator(&tokens) => Token::Number(bare(&mut chars).parse().ok()?),
            _ => name(&mut chars)?,
        };
        tokens.push(token);
    }
    Some(tokens)
}

/// A double quote opens a text where a value is due, a name elsewhere.
fn after_operator(tokens: &[Token]) -> bool {
    match tokens.last() {
        Some(Token::Operator(_) | Token::Open | Token::Comma) => true,
        Some(it) => it.is_word("LIKE") || it.is_word("ILIKE"),
        None => false,
    }
}

fn punctuation(c: char) -> Token {
    match c {
        '(' => Token::Open,
        ')' => Token::Close,
        _ => Token::Comma,
    }
}

fn operator(chars: &mut Peekable<Chars<'_>>) -> Option<Token> {
    let mut operator = String::new();
    while let Some(c) = chars.next_if(|c| "=!<>".contains(*c)) {
        operator.push(c);
    }
    matches!(operator.as_str(), "=" | "!=" | "<" | "<=" | ">" | ">=").then_some(Token::Operator(operator))
}

/// `part` or `part.rest`: only the first dot outside quotes divides.
fn name(chars: &mut Peekable<Chars<'_>>) -> Option<Token> {
    if chars.peek().is_some_and(|c| "`\"".contains(*c)) {
        let first = quoted(chars)?;
        return Some(match chars.next_if_eq(&'.') {
            Some(_) => Token::Name(Some(first), key(chars)?),
            None => Token::Name(None, first),
        });
    }
    let word = bare(chars);
    match word.split_once('.') {
        Some((entity, "")) => Some(Token::Name(Some(entity.to_owned()), key(chars)?)),
        Some((entity, key)) => Some(Token::Name(Some(entity.to_owned()), key.to_owned())),
        None => (!word.is_empty()).then_some(Token::Name(None, word)),
    }
}

fn key(chars: &mut Peekable<Chars<'_>>) -> Option<String> {
    match chars.peek()? {
        '`' | '"' => quoted(chars),
        _ => Some(bare(chars)).filter(|it| !it.is_empty()),
    }
}

fn bare(chars: &mut Peekable<Chars<'_>>) -> String {
    let mut word = String::new();
    while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || "_.-+/:".contains(*c)) {
        word.push(c);
    }
    word
}

/// Up to the same quote; a doubled single quote is one.
fn quoted(chars: &mut Peekable<Chars<'_>>) -> Option<String> {
    let quote = chars.next()?;
    let mut text = String::new();
    loop {
        let c = chars.next()?;
        if c != quote {
            text.push(c);
        } else if quote == '\'' && chars.next_if_eq(&'\'').is_some() {
            text.push('\'');
        } else {
            return Some(text);
        }
    }
}

//! Imported models answer what the libraries that trained them answer, and files that are none are refused in a sentence.
//!
//! `tests/fixtures/make_models.py` made the models, the rows and the libraries' own answers.

mod any_file;
mod catboost;
mod lightgbm;
mod support;
mod xgboost;

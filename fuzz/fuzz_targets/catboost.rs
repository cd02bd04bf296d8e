//! CatBoost's JSON models.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    foretell_fuzz::import_one("model.json", bytes);
});

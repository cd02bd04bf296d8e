//! LightGBM's text models.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    foretell_fuzz::import_one("model.txt", bytes);
});

//! `background.json`: rows that sampled explanations are relative to.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let read = foretell_fuzz::bounded(bytes.len(), || {
        foretell_inference::sampling::Background::from_bytes(bytes)
    });
    if let Some(background) = foretell_fuzz::refuses_in_a_sentence(read) {
        let again = foretell_inference::sampling::Background::from_bytes(&background.to_bytes());
        assert!(again.is_ok_and(|it| it.rows().n_rows() == background.rows().n_rows()));
    }
});

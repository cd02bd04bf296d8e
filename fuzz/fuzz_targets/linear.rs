//! `linear.json`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    use foretell_inference::Predictor;
    let read = foretell_fuzz::bounded(bytes.len(), || foretell_inference::Linear::from_bytes(bytes));
    let Some(linear) = foretell_fuzz::refuses_in_a_sentence(read) else {
        return;
    };
    if linear.n_features() > 0 {
        let rows = foretell_fuzz::rows(linear.n_features());
        linear.predict(&rows).expect("rows of the right width");
        linear.contributions(&rows, 0, 0).expect("rows of the right width");
    }
    let (_, written) = linear.to_file();
    assert!(foretell_inference::Linear::from_bytes(&written).is_ok());
});

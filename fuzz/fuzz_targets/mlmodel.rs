//! The `MLmodel` file of a folder that MLflow wrote.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let read = foretell_fuzz::bounded(bytes.len(), || foretell_inference::mlflow::MlflowModel::parse(bytes));
    if let Some(model) = foretell_fuzz::refuses_in_a_sentence(read) {
        let _ = foretell_fuzz::refuses_in_a_sentence(model.file());
    }
});

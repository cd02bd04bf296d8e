//! ONNX graphs: what they take and give, and those that are trees or linear.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let described = foretell_fuzz::bounded(bytes.len(), || foretell_inference::onnx::describe("model.onnx", bytes));
    drop(foretell_fuzz::refuses_in_a_sentence(described));
    foretell_fuzz::import_one("model.onnx", bytes);
});

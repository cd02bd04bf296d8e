//! Whole packages: the manifest, and every file that it names, the checksum of trees put right.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut files = foretell_fuzz::files(bytes);
    if let Some(trees) = files.get_mut(foretell_inference::tree::TREES_FILE) {
        *trees = foretell_fuzz::with_checksum(trees);
    }
    let loaded = foretell_fuzz::bounded(bytes.len(), || foretell_inference::Model::load(&files));
    drop(foretell_fuzz::refuses_in_a_sentence(loaded));
});

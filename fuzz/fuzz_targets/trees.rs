//! `trees.bin`, its length and checksum put right.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let file = foretell_fuzz::with_checksum(bytes);
    let read = foretell_fuzz::bounded(file.len(), || foretell_inference::TreeEnsemble::from_bytes(&file));
    if let Some(trees) = foretell_fuzz::refuses_in_a_sentence(read) {
        foretell_fuzz::use_file_of_trees(&trees);
    }
});

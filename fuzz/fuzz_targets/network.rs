//! Networks: `network.json` and the safetensors beside it, as one input.

#![no_main]

use foretell_inference::network::WEIGHTS_FILE;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let files = foretell_fuzz::files(bytes);
    foretell_fuzz::import_files(files, WEIGHTS_FILE, bytes.len());
});

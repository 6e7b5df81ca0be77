//! `wasm-bindgen --target web IN --out-dir OUT` of the version that the lock file has.
//!
//! The command of that name would have to be installed in exactly the version of the crate, and its package brings a test
//! runner with a TLS stack.

use anyhow::Context as _;
use wasm_bindgen_cli_support::Bindgen;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args_os().skip(1);
    let input = args
        .next()
        .context("usage: parlour-web-bindgen <module.wasm> <folder>")?;
    let folder = args.next().context("name the folder for the output, too")?;
    Bindgen::new()
        .input_path(input)
        .web(true)?
        .typescript(true)
        .omit_default_module_path(true)
        .generate(folder)
}

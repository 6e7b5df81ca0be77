//! The crate's parts together, on flash in memory.

mod flash;
mod keeper;
mod refresh;
mod session;
mod store;

use std::format;

use crate::{Settings, Wifi};

/// The `n`th settings; each as long as any.
fn settings(n: usize) -> Settings {
    let wifi = Wifi::new(&"n".repeat(32), Some(&"p".repeat(64))).unwrap();
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    let ticket = format!("parlour://{}:65535/{key}#{n:0>800}", "h".repeat(253));
    Settings::new(Some(wifi), &ticket).unwrap()
}

pub mod impair;
pub mod measure;
pub mod options;
pub mod wav;

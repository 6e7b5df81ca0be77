//! The `main` of every target's program.

#[cfg(feature = "libfuzzer")]
pub use self::libfuzzer::search;

/// Runs a target on each file that the command line names: without libFuzzer, a program replays.
#[cfg(not(feature = "libfuzzer"))]
pub fn search(target: fn(&[u8])) {
    for path in std::env::args_os().skip(1) {
        println!("{}", path.display());
        target(&std::fs::read(path).expect("a readable file"));
    }
}

#[cfg(feature = "libfuzzer")]
mod libfuzzer {
    use std::ffi::{CString, c_char, c_int};
    use std::os::unix::ffi::OsStringExt as _;
    use std::sync::OnceLock;
    use std::{env, panic, process, ptr, slice};

    // The C++ library comes with it.
    use libfuzzer_sys as _;

    static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

    unsafe extern "C" {
        fn LLVMFuzzerRunDriver(
            argc: *mut c_int,
            argv: *mut *mut *mut c_char,
            run: extern "C" fn(*const u8, usize) -> c_int,
        ) -> c_int;
    }

    /// Gives a target to libFuzzer, with the options of the command line. Ends the process.
    ///
    /// # Panics
    ///
    /// If it is called twice.
    pub fn search(target: fn(&[u8])) {
        TARGET.set(target).expect("one target for each program");
        // libFuzzer writes the input of an abort, and shows the stack where it happened.
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            print(panic);
            process::abort();
        }));
        let arguments = env::args_os().map(|argument| {
            let argument = CString::new(argument.into_vec());
            argument
                .expect("an argument ends at its first zero")
                .into_raw()
        });
        let mut arguments: Vec<*mut c_char> = arguments.collect();
        let mut count = c_int::try_from(arguments.len()).expect("a few arguments");
        arguments.push(ptr::null_mut());
        let mut list = arguments.as_mut_ptr();
        // SAFETY: the arguments are as `main` of C gets them, and are never freed.
        process::exit(unsafe { LLVMFuzzerRunDriver(&raw mut count, &raw mut list, run) })
    }

    extern "C" fn run(data: *const u8, len: usize) -> c_int {
        let data = match len {
            0 => &[],
            // SAFETY: libFuzzer lends so many bytes for the time of the call.
            _ => unsafe { slice::from_raw_parts(data, len) },
        };
        (TARGET.get().expect("it was set before"))(data);
        0
    }
}

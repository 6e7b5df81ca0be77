//! PCM from Python and to it: mono, 16 bit, in this machine's order of bytes.

use parlour_tokio::SampleRate;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// The samples of `bytes`, a `bytearray`, an `array("h")`, a `memoryview`, or an array of numpy.
pub(crate) fn samples(pcm: &Bound<'_, PyAny>) -> PyResult<Vec<i16>> {
    let py = pcm.py();
    if let Ok(buffer) = PyBuffer::<i16>::get(pcm) {
        if buffer.dimensions() != 1 {
            return Err(PyValueError::new_err(
                "PCM has one channel: mix it down, to an array of one dimension",
            ));
        }
        return buffer.to_vec(py);
    }
    let bytes = PyBuffer::<u8>::get(pcm).map_err(|_| {
        PyTypeError::new_err(
            "PCM is bytes, or a buffer of 16-bit integers; of numpy's floats make (x * 32767).astype('int16')",
        )
    })?;
    let bytes = bytes.to_vec(py)?;
    let (samples, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        return Err(PyValueError::new_err(
            "PCM has two bytes per sample: these are an odd number of bytes",
        ));
    }
    Ok(samples
        .iter()
        .map(|&sample| i16::from_ne_bytes(sample))
        .collect())
}

/// Samples on their way to Python, where they are `bytes`.
pub(crate) struct Pcm(pub(crate) Vec<i16>);

impl<'py> IntoPyObject<'py> for Pcm {
    type Target = PyBytes;
    type Output = Bound<'py, PyBytes>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        PyBytes::new_with(py, self.0.len() * 2, |bytes| {
            let (bytes, _) = bytes.as_chunks_mut();
            for (bytes, sample) in bytes.iter_mut().zip(&self.0) {
                *bytes = sample.to_ne_bytes();
            }
            Ok(())
        })
    }
}

pub(crate) fn sample_rate(hz: u32) -> PyResult<SampleRate> {
    SampleRate::from_hz(hz).ok_or_else(|| {
        PyValueError::new_err(format!(
            "no sample rate of {hz} Hz: there are 8000, 16000, 24000, 32000, 44100 and 48000"
        ))
    })
}

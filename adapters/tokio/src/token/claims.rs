//! The parts of a token as JSON, and the claims in them; each defect has its name.
//!
//! Libraries differ in how they write claims: times may have a fraction
//! ([RFC 7519 section 2](https://www.rfc-editor.org/rfc/rfc7519#section-2)), and an optional claim without a value is
//! left out by some and `null` by others.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use parlour_core::room::Grants;
use serde_json::{Map, Value};

use super::TokenError;

type Object = Map<String, Value>;

/// The header and the claims of a token. Nothing is verified.
pub(super) fn decode(token: &str) -> Result<(Object, Object), TokenError> {
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(_signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(TokenError::Malformed);
    };
    let object = |part| {
        let bytes = Base64UrlUnpadded::decode_vec(part).ok()?;
        serde_json::from_slice::<Object>(&bytes).ok()
    };
    object(header)
        .zip(object(claims))
        .ok_or(TokenError::Malformed)
}

/// A claim that has to be there, as text.
pub(super) fn text<'a>(claims: &'a Object, name: &'static str) -> Result<&'a str, TokenError> {
    optional_text(claims, name)?.ok_or(TokenError::MissingClaim { claim: name })
}

/// A claim that is text, if it is there.
pub(super) fn optional_text<'a>(
    claims: &'a Object,
    name: &'static str,
) -> Result<Option<&'a str>, TokenError> {
    let Some(value) = present(claims, name) else {
        return Ok(None);
    };
    let wrong = wrong_type(name, "a text");
    value.as_str().map(Some).ok_or(wrong)
}

/// A claim that is true or false, the latter if it is not there.
pub(super) fn flag(claims: &Object, name: &'static str) -> Result<bool, TokenError> {
    let Some(value) = present(claims, name) else {
        return Ok(false);
    };
    value
        .as_bool()
        .ok_or(wrong_type(name, "true or false, without quotes"))
}

/// A claim that is a time, if it is there: whole seconds since 1970, `rounded` if there are fractions of one.
pub(super) fn time(
    claims: &Object,
    name: &'static str,
    rounded: fn(f64) -> f64,
) -> Result<Option<u64>, TokenError> {
    let Some(value) = present(claims, name) else {
        return Ok(None);
    };
    let seconds = match (value.as_u64(), value.as_f64()) {
        (Some(whole), _) => whole,
        // Times before 1970 become that.
        (None, Some(fraction)) => rounded(fraction) as u64,
        (None, None) => return Err(wrong_type(name, "a number of seconds since 1970")),
    };
    Ok(Some(seconds))
}

/// The grants by their names, if there are any: a list, or an object of flags.
pub(super) fn grants(claims: &Object, name: &'static str) -> Result<Option<Grants>, TokenError> {
    let Some(value) = present(claims, name) else {
        return Ok(None);
    };
    let wrong = wrong_type(
        name,
        "a list of names, or an object with true or false for each name",
    );
    let flags: Option<Vec<(&str, bool)>> = match value {
        Value::Array(names) => names
            .iter()
            .map(|name| Some((name.as_str()?, true)))
            .collect(),
        Value::Object(flags) => (flags.iter())
            .map(|(name, granted)| Some((name.as_str(), granted.as_bool()?)))
            .collect(),
        _ => None,
    };
    let mut grants = Grants::empty();
    for (name, granted) in flags.ok_or(wrong)? {
        let named = grant_of(name).ok_or(TokenError::UnknownGrant)?;
        if granted {
            grants |= named;
        }
    }
    Ok(Some(grants))
}

fn grant_of(name: &str) -> Option<Grants> {
    if name.chars().any(|c| c.is_ascii_uppercase()) {
        return None;
    }
    Grants::from_name(&name.to_ascii_uppercase())
}

/// A claim that is there and not `null`.
fn present<'a>(claims: &'a Object, name: &str) -> Option<&'a Value> {
    claims.get(name).filter(|value| !value.is_null())
}

fn wrong_type(claim: &'static str, expected: &'static str) -> TokenError {
    TokenError::WrongType { claim, expected }
}

//! The words of the protocol as the API and the tables write them.

use std::fmt;

use parlour_tokio::Grants;
use parlour_tokio::core::server::Path;

/// The names of grants.
pub(crate) fn names_of(grants: Grants) -> Vec<String> {
    let single = grants
        .iter_names()
        .filter(|(_, grant)| grant.bits().count_ones() == 1);
    single.map(|(name, _)| name.to_lowercase()).collect()
}

/// The grants of these names, or the first name that is none.
pub(crate) fn grants_of(names: &[String]) -> Result<Grants, (usize, &String)> {
    let mut grants = Grants::empty();
    for (index, name) in names.iter().enumerate() {
        let is_lower = !name.chars().any(|c| c.is_ascii_uppercase());
        let named = Grants::from_name(&name.to_ascii_uppercase()).filter(|_| is_lower);
        grants |= named.ok_or((index, name))?;
    }
    Ok(grants)
}

/// How a participant's packets travel.
pub(crate) fn path(path: Path) -> &'static str {
    match path {
        Path::Udp { .. } => "udp",
        Path::Stream { .. } => "stream",
    }
}

/// The name of a variant without values, in `snake_case`.
pub(crate) fn snake(variant: impl fmt::Debug) -> String {
    let mut name = String::new();
    for c in format!("{variant:?}").chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use parlour_tokio::core::signal::JoinRefusal;
    use parlour_tokio::{CloseReason, Codec};

    use super::*;

    #[test]
    fn variants_are_written_in_snake_case() {
        assert_eq!(snake(CloseReason::AloneTooLong), "alone_too_long");
        assert_eq!(snake(JoinRefusal::Banned), "banned");
        assert_eq!(snake(Codec::Pcmu), "pcmu");
    }

    #[test]
    fn grants_are_read_as_they_are_written() {
        let names = names_of(Grants::PARTICIPANT | Grants::KICK);
        assert!(names.contains(&"kick".to_owned()) && !names.contains(&"participant".to_owned()));
        assert_eq!(grants_of(&names), Ok(Grants::PARTICIPANT | Grants::KICK));
        let all = ["participant".to_owned(), "fly".to_owned()];
        assert_eq!(grants_of(&all), Err((1, &all[1])));
        assert_eq!(
            grants_of(&["KICK".to_owned()]).map_err(|(index, _)| index),
            Err(0)
        );
        assert_eq!(grants_of(&all[..1]), Ok(Grants::PARTICIPANT));
    }
}

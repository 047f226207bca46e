//! A profile that somebody names and nobody has. The SDK would pass over it,
//! look for credentials elsewhere, and say only that there are none.

use std::fs;
use std::path::PathBuf;

use super::error::QueueError;

/// The longest file of profiles that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Checks that the profile of AWS_PROFILE is in one of the SDK's files.
///
/// # Errors
/// It is in none, and the environment has no credentials either.
pub(super) fn check_profile(variable: impl Fn(&str) -> Option<String>) -> Result<(), QueueError> {
    let given = |name: &str| variable(name).filter(|value| !value.is_empty());
    let Some(profile) = given("AWS_PROFILE") else {
        return Ok(());
    };
    if given("AWS_ACCESS_KEY_ID").is_some() {
        return Ok(());
    }
    let file = |name: &str, default: &str| {
        let home = || Some(PathBuf::from(given("HOME")?).join(".aws").join(default));
        given(name).map(PathBuf::from).or_else(home)
    };
    let files: Vec<PathBuf> = [
        file("AWS_CONFIG_FILE", "config"),
        file("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let is_short = |file: &PathBuf| fs::metadata(file).is_ok_and(|it| it.len() <= FILE_BYTES_MAX);
    let texts = files.iter().filter(|file| is_short(file));
    let texts = texts.filter_map(|file| fs::read_to_string(file).ok());
    if texts.into_iter().any(|text| names(&text, &profile)) {
        return Ok(());
    }
    let places: Vec<String> = files.iter().map(|it| it.display().to_string()).collect();
    Err(QueueError::configuration(format!(
        "there is no profile {} (AWS_PROFILE) in {}: name one that is there, or make it with \
         `aws configure --profile`",
        crate::foreign::foreign_name(&profile),
        crate::foreign::foreign_words(&places.join(" or "))
    )))
}

/// Whether a file has the section `[NAME]` or `[profile NAME]`.
fn names(text: &str, profile: &str) -> bool {
    let sections = text.lines().filter_map(|line| {
        let line = line.trim().strip_prefix('[')?;
        let (name, _) = line.split_once(']')?;
        let name = name.trim();
        Some(name.strip_prefix("profile ").map_or(name, str::trim))
    });
    sections
        .into_iter()
        .any(|name| name.trim_matches('"') == profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_a_section_of_either_file() {
        let text = "# [dark]\n[default]\nregion=x\n[profile bright]\nregion = y\n [ old ] # so\n";
        for name in ["default", "bright", "old"] {
            assert!(names(text, name), "{name}");
        }
        for name in ["dark", "region", "profile", "brigh"] {
            assert!(!names(text, name), "{name}");
        }
    }

    #[test]
    fn a_profile_that_nobody_has_is_named() {
        let folder = std::env::temp_dir();
        let missing = folder.join("etl-host-no-such-file").display().to_string();
        let variables = |name: &str| match name {
            "AWS_PROFILE" => Some("no-such-profile".to_owned()),
            "AWS_CONFIG_FILE" | "AWS_SHARED_CREDENTIALS_FILE" => Some(missing.clone()),
            _ => None,
        };
        let wrong = check_profile(variables).expect_err("nobody has it");
        assert!(!wrong.may_pass());
        assert!(wrong.to_string().contains("no-such-profile"), "{wrong}");
        let with_key = |name: &str| match name {
            "AWS_ACCESS_KEY_ID" => Some("AKID".to_owned()),
            name => variables(name),
        };
        assert!(check_profile(with_key).is_ok());
        assert!(check_profile(|_| None).is_ok());
    }
}

//! One version of the relay proxy in docker-compose.yml, go.mod and the code.

use crate::relay_proxy::{MODULE, VERSION};

const IMAGE: &str = "gofeatureflag/go-feature-flag:v";

pub(crate) fn differences(compose: &str, go_mod: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut compare = |file: &str, versions: Vec<&str>| {
        if versions.is_empty() {
            faults.push(format!("{file} does not name the relay proxy's version"));
        }
        for version in versions.into_iter().filter(|version| *version != VERSION) {
            faults.push(format!(
                "{file} names relay proxy {version}, the code {VERSION}"
            ));
        }
    };
    let images = compose.lines().filter(|line| line.contains("image:"));
    let images = images.map(|line| after(line, IMAGE)).collect();
    compare("docker-compose.yml", images);
    let module = format!("{MODULE} ");
    let required = go_mod.lines().map(str::trim);
    let required = required.filter(|line| line.starts_with(&module));
    let prefix = format!("{MODULE} v");
    let required = required.map(|line| after(line, &prefix)).collect();
    compare("tests-integration/relay/go.mod", required);
    faults
}

/// The word after a prefix; the whole line if the prefix is not there, since then something else is named.
fn after<'a>(line: &'a str, prefix: &str) -> &'a str {
    let rest = line.split_once(prefix).map_or(line, |(_, rest)| rest);
    rest.split_whitespace().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_differs_or_is_missing_is_a_fault() {
        let good_compose = format!("  image: {IMAGE}{VERSION}\n");
        let good_mod = format!(
            "require (\n\t{MODULE} v{VERSION} // indirect\n\t{MODULE}/modules/core v0.1.0\n)\n"
        );
        let check = |compose: &str, go_mod: &str, named: &[&str]| {
            let faults = differences(compose, go_mod);
            assert_eq!(faults.len(), named.len(), "{faults:?}");
            for (fault, named) in faults.iter().zip(named) {
                assert!(fault.contains(named), "{fault}");
            }
        };
        check(&good_compose, &good_mod, &[]);
        let two = format!("image: {IMAGE}1.0.0\n{good_compose}");
        let named = "docker-compose.yml names relay proxy 1.0.0";
        check(&two, &good_mod, &[named]);
        let latest = good_compose.replace(":v", ":latest-");
        check(&latest, &good_mod, &["docker-compose.yml names"]);
        check("", &good_mod, &["docker-compose.yml does not name"]);
        let other = good_mod.replace(VERSION, "1.0.0");
        let named = "go.mod names relay proxy 1.0.0";
        check(&good_compose, &other, &[named]);
        check(&good_compose, "", &["go.mod does not name"]);
    }
}

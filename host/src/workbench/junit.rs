//! A report as JUnit has it, which every CI can show: a test case for each case
//! and for each property.

use quick_junit::{NonSuccessKind, Report as Junit, TestCase, TestCaseStatus, TestSuite};

use super::test::{CaseReport, Report};

impl Report {
    /// The XML text.
    ///
    /// # Errors
    /// It cannot be put into words.
    pub fn junit(&self) -> anyhow::Result<String> {
        let mut junit = Junit::new("etl-host test");
        junit.set_time(std::time::Duration::from_secs_f64(self.seconds));
        let mut cases = TestSuite::new("cases");
        for CaseReport {
            case,
            file,
            differences,
        } in &self.tried
        {
            let test = match differences.is_empty() {
                true => passed(case),
                false => failure(case, differences),
            };
            cases.add_test_case(in_class(test, &file.display().to_string()));
        }
        junit.add_test_suite(cases);
        let mut properties = TestSuite::new("properties");
        for property in &self.properties {
            let seen: Vec<String> = property
                .violations
                .iter()
                .map(|violation| format!("{}: {}", violation.case, violation.seen))
                .collect();
            let test = match seen.is_empty() {
                true => passed(property.property),
                false => failure(property.property, &seen),
            };
            properties.add_test_case(in_class(test, &self.component));
        }
        if let Some(fuzz) = &self.fuzz {
            let name = format!("{} inputs, seed {}", fuzz.inputs, fuzz.seed);
            let seen: Vec<String> = fuzz
                .failures
                .iter()
                .map(|failure| format!("{}: {}", failure.case.display(), failure.seen))
                .collect();
            let test = match seen.is_empty() {
                true => passed(&name),
                false => failure(&name, &seen),
            };
            properties.add_test_case(in_class(test, &self.component));
        }
        junit.add_test_suite(properties);
        Ok(junit.to_string()?)
    }
}

fn passed(name: &str) -> TestCase {
    TestCase::new(name, TestCaseStatus::success())
}

fn failure(name: &str, lines: &[String]) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    if let Some(first) = lines.first() {
        status.set_message(first.clone());
    }
    status.set_description(lines.join("\n"));
    TestCase::new(name, status)
}

fn in_class(mut test: TestCase, class: &str) -> TestCase {
    test.set_classname(class);
    test
}

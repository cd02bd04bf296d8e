use crate::project::{CHURN, CUSTOMERS, Project, write_customers};

/// Trains over `rows` customers after changing the model's text; the sentence that comes back.
fn refused(rows: u64, from: &str, to: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    write_customers(folder.path(), rows);
    assert!(CHURN.contains(from), "{from}");
    let project = Project::new(CUSTOMERS, &CHURN.replace(from, to), folder.path());
    project.train(None, false).unwrap_err().to_string()
}

#[test]
fn what_cannot_be_trained_is_refused_in_one_sentence() {
    let cases = [
        (
            300,
            "\"Yes\"",
            "\"yes\"",
            "no row has the positive value `yes`",
            "did you mean `Yes`?",
        ),
        (20, "roc_auc", "roc_auc", "training rows, at least", "give more data"),
        (
            300,
            "rounds = 60",
            "round = 60",
            "no parameter `round`",
            "did you mean `rounds`?",
        ),
        (300, "rounds = 60", "rounds = 0", "must be a whole number", "got=`0`"),
    ];
    for (rows, from, to, what, hint) in cases {
        let got = refused(rows, from, to);
        assert!(
            got.contains(what) && got.contains(hint) && got.contains("`churn`"),
            "{got}"
        );
        assert!(!got.contains('\n'), "{got}");
    }
}

//! What mends a failing call to SQS: one table, by what AWS says.

/// What is wrong, and what mends it.
pub(super) struct Remedy {
    /// AWS's codes for it, without the part up to `#`.
    codes: &'static [&'static str],
    /// Whether waiting may mend it.
    pub(super) may_pass: bool,
    /// What to do. `{action}`, `{queue}`, `{account}` and `{region}` stand for
    /// what was asked.
    words: &'static str,
}

/// What a call was made for.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    /// The permission that it takes, such as `sqs:ReceiveMessage`.
    pub(super) action: &'static str,
    pub(super) queue: String,
    pub(super) account: String,
    pub(super) region: String,
    /// Where the call went; empty as long as no call was sent.
    pub(super) endpoint: String,
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "(queue {}, ", self.queue)?;
        if !self.account.is_empty() {
            write!(f, "account {}, ", self.account)?;
        }
        write!(f, "region {}, asked at {})", self.region, self.endpoint)
    }
}

const REMEDIES: [Remedy; 11] = [
    Remedy {
        codes: &[
            "AWS.SimpleQueueService.NonExistentQueue",
            "NonExistentQueue",
            "QueueDoesNotExist",
        ],
        may_pass: false,
        words: "there is no queue {queue} of account {account} in {region}: check --queue-url and \
                --dead-letter-queue-url against what `aws sqs list-queues --region {region}` prints",
    },
    Remedy {
        codes: &["InvalidAddress"],
        may_pass: false,
        words: "the URL is none of a queue at this endpoint: check --queue-url against what \
                `aws sqs get-queue-url --queue-name {queue} --region {region}` prints",
    },
    Remedy {
        codes: &[
            "AccessDenied",
            "AccessDeniedException",
            "AuthorizationError",
            "AuthorizationErrorException",
        ],
        may_pass: false,
        words: "the caller may not do {action}: allow it for the queue {queue}, in the policy of \
                the role or user, and where the queue is another account's, in the queue's policy",
    },
    Remedy {
        codes: &[
            "KmsAccessDenied",
            "KMS.AccessDeniedException",
            "KmsOptInRequired",
        ],
        may_pass: false,
        words: "the caller may not use the key that encrypts the queue {queue}: allow kms:Decrypt \
                and kms:GenerateDataKey for it",
    },
    Remedy {
        codes: &[
            "KmsDisabled",
            "KMS.DisabledException",
            "KmsInvalidState",
            "KMS.InvalidStateException",
            "KmsNotFound",
            "KMS.NotFoundException",
            "KmsInvalidKeyUsage",
        ],
        may_pass: true,
        words: "the key that encrypts the queue {queue} cannot be used: enable it in AWS KMS, or \
                give the queue another one",
    },
    Remedy {
        codes: &[
            "InvalidClientTokenId",
            "InvalidAccessKeyId",
            "InvalidSecurity",
            "UnrecognizedClientException",
        ],
        may_pass: false,
        words: "AWS does not know the access key: check AWS_ACCESS_KEY_ID (or the profile's), and \
                for temporary credentials AWS_SESSION_TOKEN",
    },
    Remedy {
        codes: &[
            "SignatureDoesNotMatch",
            "InvalidSignatureException",
            "InvalidSignature",
            "IncompleteSignature",
        ],
        may_pass: false,
        words: "the secret key is not the access key's: check AWS_SECRET_ACCESS_KEY (or the \
                profile's)",
    },
    Remedy {
        codes: &[
            "ExpiredToken",
            "ExpiredTokenException",
            "TokenRefreshRequired",
        ],
        may_pass: false,
        words: "the temporary credentials have expired: get new ones (`aws sso login`, or \
                AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN anew)",
    },
    Remedy {
        codes: &[
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
        ],
        may_pass: false,
        words: "the call came without credentials: check AWS_ACCESS_KEY_ID and \
                AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    },
    Remedy {
        codes: &["OptInRequired", "SubscriptionRequiredException"],
        may_pass: false,
        words: "the account may not use SQS in {region}: enable the region for it",
    },
    Remedy {
        codes: &[
            "MissingParameter",
            "UnsupportedOperation",
            "InvalidAction",
            "UnknownOperationException",
        ],
        may_pass: false,
        words: "the endpoint does not know the call: is it one of SQS? (AWS_ENDPOINT_URL_SQS, \
                AWS_ENDPOINT_URL)",
    },
];

/// What mends a lack of credentials.
const CREDENTIALS: &str = ": set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile with \
                           AWS_PROFILE, or give the machine a role";

/// How a call fails that got no answer, where no waiting mends it: words of the
/// SDK, rustls, hyper and the proxy.
const MISTAKES: [(&str, &str); 6] = [
    (
        "invalid peer certificate",
        ": SSL_CERT_FILE names the file of the authorities that are believed, and the certificate \
         must be for the endpoint's name",
    ),
    (
        "received corrupt message",
        ": TLS is not spoken there: should the endpoint be http://?",
    ),
    (
        "invalid HTTP version parsed",
        ": HTTP is not spoken there: should the endpoint be https://?",
    ),
    // It comes with its remedy.
    ("proxy authorization required", ""),
    ("no credentials found in chain", CREDENTIALS),
    ("no providers in chain provided credentials", CREDENTIALS),
];

/// What mends what AWS calls by this code.
pub(super) fn of_code(code: &str) -> Option<&'static Remedy> {
    REMEDIES.iter().find(|remedy| remedy.codes.contains(&code))
}

/// What mends a call that got no answer, where no waiting does.
pub(super) fn of_mistake(words: &str) -> Option<&'static str> {
    let found = MISTAKES.iter().find(|(part, _)| words.contains(part));
    found.map(|(_, remedy)| *remedy)
}

impl Remedy {
    /// What to do about what was asked.
    pub(super) fn words(&self, asked: &Asked) -> String {
        let word = |word: &str| match word {
            "" => "?".to_owned(),
            word => word.to_owned(),
        };
        self.words
            .replace("{action}", asked.action)
            .replace("{queue}", &word(&asked.queue))
            .replace("{account}", &word(&asked.account))
            .replace("{region}", &word(&asked.region))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_one_remedy_that_fits_it() {
        let mut codes: Vec<&str> = REMEDIES.iter().flat_map(|one| one.codes).copied().collect();
        let all = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), all, "a code has two remedies");
        let asked = Asked {
            action: "sqs:ReceiveMessage",
            queue: "login-queue".into(),
            account: "1".into(),
            region: "r".into(),
            endpoint: String::new(),
        };
        let words = |code| of_code(code).expect(code).words(&asked);
        assert!(words("AccessDenied").contains("sqs:ReceiveMessage"));
        assert!(words("AccessDenied").contains("login-queue"));
        for code in [
            "AccessDenied",
            "InvalidClientTokenId",
            "SignatureDoesNotMatch",
            "ExpiredToken",
        ] {
            assert!(!words(code).contains("--queue-url"), "{code}");
        }
        assert!(words("QueueDoesNotExist").contains("--queue-url"));
        assert!(REMEDIES.iter().all(|one| !one.words(&asked).contains('{')));
    }
}

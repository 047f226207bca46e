//! What the AWS SDK wants to be told before it talks to a queue of a test.

pub const REGION: &str = "us-east-1";
pub const ACCESS_KEY_ID: &str = "AKIAINVENTEDFORTESTS";
pub const SECRET_ACCESS_KEY: &str = "invented-secret-access-key";

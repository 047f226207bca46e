//! How SQS says no: the status, the code in both of its spellings, and whose
//! fault it is. Both the queue's own rules and scripted faults answer so.

use hyper::StatusCode;
use serde_json::{Value, json};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    /// The shape's name, which the body carries.
    shape: String,
    /// The code of the older protocol, which a header and batch entries carry.
    pub code: String,
    pub senders_fault: bool,
    message: String,
}

const OURS: &str = "com.amazonaws.sqs#";
const CORAL: &str = "com.amazon.coral.service#";
const LEGACY: &str = "AWS.SimpleQueueService.";

impl Refusal {
    fn new(shape: String, code: String, message: impl Into<String>) -> Refusal {
        Refusal {
            status: StatusCode::BAD_REQUEST,
            shape,
            code,
            senders_fault: true,
            message: message.into(),
        }
    }

    /// Of the shapes whose code has the older prefix.
    fn legacy(name: &str, message: impl Into<String>) -> Refusal {
        Refusal::new(format!("{OURS}{name}"), format!("{LEGACY}{name}"), message)
    }

    fn plain(name: &str, message: impl Into<String>) -> Refusal {
        Refusal::new(format!("{OURS}{name}"), name.to_owned(), message)
    }

    fn coral(name: &str, message: impl Into<String>) -> Refusal {
        Refusal::new(format!("{CORAL}{name}Exception"), name.to_owned(), message)
    }

    fn with_status(self, status: StatusCode) -> Refusal {
        Refusal { status, ..self }
    }

    fn of_the_service(self, status: StatusCode) -> Refusal {
        Refusal {
            status,
            senders_fault: false,
            ..self
        }
    }

    pub fn no_such_queue() -> Refusal {
        Refusal {
            code: format!("{LEGACY}NonExistentQueue"),
            ..Refusal::plain("QueueDoesNotExist", "The specified queue does not exist.")
        }
    }

    pub fn queue_exists() -> Refusal {
        let message = "A queue already exists with the same name and a different value for \
                       an attribute.";
        Refusal {
            code: "QueueAlreadyExists".to_owned(),
            ..Refusal::plain("QueueNameExists", message)
        }
    }

    pub fn unknown_operation() -> Refusal {
        Refusal::coral("UnknownOperation", "")
    }

    pub fn missing(parameter: &str) -> Refusal {
        let message = format!("The request must contain the parameter {parameter}.");
        Refusal {
            shape: format!("{CORAL}MissingRequiredParameterException"),
            ..Refusal::coral("MissingParameter", message)
        }
    }

    pub fn invalid(message: impl Into<String>) -> Refusal {
        Refusal::coral("InvalidParameterValue", message)
    }

    pub fn invalid_attribute(name: &str) -> Refusal {
        Refusal::plain("InvalidAttributeName", format!("Unknown Attribute {name}."))
    }

    pub fn invalid_attribute_value(name: &str) -> Refusal {
        let message = format!("Invalid value for the parameter {name}.");
        Refusal::plain("InvalidAttributeValue", message)
    }

    pub fn invalid_contents() -> Refusal {
        let message = "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | \
                       #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF.";
        Refusal::plain("InvalidMessageContents", message)
    }

    pub fn invalid_handle() -> Refusal {
        let message = "The input receipt handle is invalid.";
        Refusal::plain("ReceiptHandleIsInvalid", message)
    }

    pub fn expired_handle() -> Refusal {
        Refusal::invalid(
            "Value for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.",
        )
    }

    pub fn no_such_message() -> Refusal {
        Refusal::invalid(
            "Value for parameter ReceiptHandle is invalid. Reason: Message does not exist or is \
             not available for visibility timeout change.",
        )
    }

    pub fn not_in_flight() -> Refusal {
        Refusal::legacy(
            "MessageNotInflight",
            "The message referred to isn't in flight.",
        )
    }

    pub fn empty_batch() -> Refusal {
        let message = "There should be at least one entry in the request.";
        Refusal::legacy("EmptyBatchRequest", message)
    }

    pub fn too_many_entries(entries: usize) -> Refusal {
        let message =
            format!("Maximum number of entries per request are 10. You have sent {entries}.");
        Refusal::legacy("TooManyEntriesInBatchRequest", message)
    }

    pub fn ids_not_distinct(id: &str) -> Refusal {
        Refusal::legacy("BatchEntryIdsNotDistinct", format!("Id {id} repeated."))
    }

    pub fn invalid_entry_id() -> Refusal {
        let message = "A batch entry id can only contain alphanumeric characters, hyphens and \
                       underscores. It can be at most 80 letters long.";
        Refusal::legacy("InvalidBatchEntryId", message)
    }

    pub fn batch_too_long(bytes: usize) -> Refusal {
        let message = format!(
            "Batch requests cannot be longer than 1048576 bytes. You have sent {bytes} bytes."
        );
        Refusal::legacy("BatchRequestTooLong", message)
    }

    pub fn over_limit() -> Refusal {
        let message = "Too many messages in flight.";
        Refusal::plain("OverLimit", message).with_status(StatusCode::FORBIDDEN)
    }

    pub fn internal_error() -> Refusal {
        Refusal::coral("InternalFailure", "We encountered an internal error.")
            .of_the_service(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub fn unavailable() -> Refusal {
        Refusal::coral("ServiceUnavailable", "The service is unavailable.")
            .of_the_service(StatusCode::SERVICE_UNAVAILABLE)
    }

    pub fn throttled() -> Refusal {
        Refusal {
            code: "ThrottlingException".to_owned(),
            ..Refusal::coral("Throttling", "Rate exceeded")
        }
    }

    pub fn expired_token() -> Refusal {
        let message = "The security token included in the request is expired";
        Refusal::coral("ExpiredToken", message).with_status(StatusCode::FORBIDDEN)
    }

    pub fn access_denied() -> Refusal {
        let message = "User is not authorized to perform this operation.";
        Refusal {
            code: "AccessDenied".to_owned(),
            ..Refusal::coral("AccessDenied", message).with_status(StatusCode::FORBIDDEN)
        }
    }

    /// A refusal that no waiting mends, under any code of AWS.
    pub fn coded(code: &str) -> Refusal {
        Refusal {
            code: code.to_owned(),
            ..Refusal::coral(code, "You are refused.").with_status(StatusCode::FORBIDDEN)
        }
    }

    pub fn clock_skewed() -> Refusal {
        let message = "The difference between the request time and the current time is too large.";
        Refusal::coral("RequestTimeTooSkewed", message).with_status(StatusCode::FORBIDDEN)
    }

    /// The same clock, as it is mostly told.
    pub fn expired_signature() -> Refusal {
        Refusal::signature(
            "Signature expired: 20261123T050000Z is now earlier than 20261123T052000Z \
             (20261123T052500Z - 5 min.)",
        )
    }

    pub fn wrong_signature() -> Refusal {
        Refusal::signature(
            "The request signature we calculated does not match the signature you provided.",
        )
    }

    fn signature(message: &str) -> Refusal {
        Refusal {
            code: "SignatureDoesNotMatch".to_owned(),
            ..Refusal::coral("InvalidSignature", message).with_status(StatusCode::FORBIDDEN)
        }
    }

    pub fn body(&self) -> Value {
        json!({"__type": self.shape, "message": self.message})
    }

    /// What the header `x-amzn-query-error` says.
    pub fn header(&self) -> String {
        let whose = match self.senders_fault {
            true => "Sender",
            false => "Receiver",
        };
        format!("{};{whose}", self.code)
    }

    /// The entry of a batch's `Failed[]`.
    pub fn failed(&self, id: &str) -> Value {
        json!({
            "Id": id,
            "Code": self.code,
            "Message": self.message,
            "SenderFault": self.senders_fault,
        })
    }
}

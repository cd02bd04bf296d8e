/// Who calls, as the access layer in front of a router knows them: found in a request's extensions, recorded in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor(pub String);

//! STUB
pub(crate) fn notify_mounted(_m:&crate::mount::Mount,_b:bool){}

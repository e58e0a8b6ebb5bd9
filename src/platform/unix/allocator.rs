//! The allocator of a static program. musl's gives each size of memory pages of its own, so that a
//! short program touches one page for nearly every size that it asks for; this one fills its pages.

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

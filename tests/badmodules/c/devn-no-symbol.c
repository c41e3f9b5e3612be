// A shared object that is no module.
int answer(void) { return 42; }

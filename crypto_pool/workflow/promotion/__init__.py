"""Who serves a member: choose, register, decide, reconcile, roll back."""

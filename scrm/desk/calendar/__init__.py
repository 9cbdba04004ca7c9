"""When people work and when customers are left in peace: weekly hours, single days, quiet hours."""
